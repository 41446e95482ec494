package mem

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is set and removed, in whatever order, it is a map in order.
func TestSortedIsAMapInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s sorted[int]
		model := map[string]int{}
		for range rapid.IntRange(1, 8).Draw(t, "stretches") {
			first, count := rapid.IntRange(0, 2_000).Draw(t, "first"), rapid.IntRange(1, 1_000).Draw(t, "count")
			step := rapid.SampledFrom([]int{-3, -1, 1, 2, 7}).Draw(t, "step") // upwards, downwards, in between
			remove := rapid.Bool().Draw(t, "remove")
			for i := range count {
				key := fmt.Sprintf("%05d", first+i*step)
				if remove {
					s.remove(key)
					delete(model, key)
				} else {
					s.set(key, i)
					model[key] = i
				}
			}
			start := fmt.Sprintf("%05d", rapid.IntRange(-10, 9_999).Draw(t, "start"))
			compare(t, &s, model, start)
		}
	})
}

func compare(t *rapid.T, s *sorted[int], model map[string]int, start string) {
	t.Helper()
	for _, key := range []string{"", start} {
		want := slices.DeleteFunc(slices.Sorted(maps.Keys(model)), func(k string) bool { return k < key })
		var got []string
		for k, v := range s.from(key) {
			got = append(got, k)
			if v != model[k] {
				t.Fatalf("%s is %d, want %d", k, v, model[k])
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("from %q: %d keys %.10q, want %d %.10q", key, len(got), got, len(want), want)
		}
	}
	v, found := s.get(start)
	if want, there := model[start]; v != want || found != there {
		t.Fatalf("%s is %d, %t, want %d, %t", start, v, found, want, there)
	}
	for i, run := range s.runs {
		if len(run) == 0 || len(run) > runItems {
			t.Fatalf("run %d has %d items", i, len(run))
		}
	}
}
