package mail

import "testing"

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, normal, fits, fitsNot string }{
		{"*", "*", "ann@example.com", ""},
		{"*@EXAMPLE.com", "*@example.com", "Ann@Example.COM", "ann@sub.example.com"},
		{"*@bücher.example", "*@xn--bcher-kva.example", "ann@xn--bcher-kva.example", "ann@example"},
		{"Ann@Example.com", "Ann@example.com", "ann@EXAMPLE.com", "bob@example.com"},
		{"*@*", "", "", ""},
		{"*@", "", "", ""},
		{"ann", "", "", ""},
	} {
		normal, err := Pattern(c.pattern)
		if (err != nil) != (c.normal == "") || err == nil && normal != c.normal {
			t.Errorf("%s is %q, %v", c.pattern, normal, err)
			continue
		}
		if err == nil && (!Fits(normal, c.fits) || c.fitsNot != "" && Fits(normal, c.fitsNot)) {
			t.Errorf("%s fits %s: %v, %s: %v", normal, c.fits, Fits(normal, c.fits), c.fitsNot, Fits(normal, c.fitsNot))
		}
	}
}
