package hook

import "testing"

// What a delivery costs beside storage: reading it, three templates, and laying
// the payload out.
func BenchmarkDelivery(b *testing.B) {
	for _, s := range samples {
		if s.file != "grafana.json" && s.file != "github-pull_request.json" {
			continue
		}
		b.Run(s.builtin, func(b *testing.B) {
			d := s.delivery(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.hook().Messages(b.Context(), d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
