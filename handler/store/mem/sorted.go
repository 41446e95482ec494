package mem

import (
	"iter"
	"slices"
	"strings"
)

// runItems is how many items a run has at most: few enough to be moved at every
// insert, many enough that the runs are few.
const runItems = 256

// sorted is a map whose keys have an order: millions of items, each found in some
// twenty comparisons, and the first after any key at hand. The zero value is empty.
type sorted[V any] struct {
	runs [][]item[V] // one after another in order, none of them empty
}

type item[V any] struct {
	key   string
	value V
}

// find says where key is or belongs.
func (s *sorted[V]) find(key string) (run, at int, found bool) {
	// The last run that begins at key or before, or the first.
	run, found = slices.BinarySearchFunc(s.runs, key, func(r []item[V], key string) int { return strings.Compare(r[0].key, key) })
	if found {
		return run, 0, true
	}
	if run = max(0, run-1); run == len(s.runs) {
		return run, 0, false
	}
	at, found = slices.BinarySearchFunc(s.runs[run], key, func(i item[V], key string) int { return strings.Compare(i.key, key) })
	return run, at, found
}

func (s *sorted[V]) get(key string) (v V, found bool) {
	run, at, found := s.find(key)
	if found {
		v = s.runs[run][at].value
	}
	return v, found
}

func (s *sorted[V]) set(key string, v V) {
	run, at, found := s.find(key)
	switch {
	case found:
		s.runs[run][at].value = v
		return
	case run == len(s.runs): // the first of all, which has no run yet
		s.runs = append(s.runs, nil)
	case len(s.runs[run]) == runItems:
		// Halves, unless keys come in their order: then all runs but the last
		// stay full.
		cut := runItems / 2
		if at == runItems {
			cut = runItems
		}
		whole := s.runs[run]
		s.runs = slices.Insert(s.runs, run+1, slices.Clone(whole[cut:]))
		clear(whole[cut:])
		s.runs[run] = whole[:cut]
		if at >= cut {
			run, at = run+1, at-cut
		}
	}
	s.runs[run] = slices.Insert(s.runs[run], at, item[V]{key, v})
}

func (s *sorted[V]) remove(key string) {
	run, at, found := s.find(key)
	if !found {
		return
	}
	if s.runs[run] = slices.Delete(s.runs[run], at, at+1); len(s.runs[run]) == 0 {
		s.runs = slices.Delete(s.runs, run, run+1)
	}
}

// from gives all items in order, beginning with key or what comes after it.
func (s *sorted[V]) from(key string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		run, at, _ := s.find(key)
		for ; run < len(s.runs); run, at = run+1, 0 {
			for _, i := range s.runs[run][at:] {
				if !yield(i.key, i.value) {
					return
				}
			}
		}
	}
}
