package storetest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
)

func list(t *testing.T, rows Rows) {
	for _, name := range []string{"c", "a", "b"} {
		insert(t, rows, row(name, 1))
	}
	other := row("a", 2)
	other.Partition = "p2"
	insert(t, rows, other)
	found, err := rows.List(t.Context(), "p")
	wantErr(t, "list", err, nil)
	names := make([]string, 0, len(found))
	for _, e := range found {
		names = append(names, e.Row)
		if e.Partition != "p" || e.Values["n"] != int64(1) {
			t.Errorf("listed %+v", e)
		}
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(names, want) {
		t.Fatalf("listed rows %q, want %q", names, want)
	}
	_, err = rows.Replace(t.Context(), found[1])
	wantErr(t, "replace with the ETag of a listing", err, nil)
}

func listBefore(t *testing.T, rows Rows) {
	for _, place := range strings.Fields("2/b 1/b 3/a 1/a 2/a upload-1/a") {
		k := key(place)
		insert(t, rows, store.Entity{Partition: k.Partition, Row: k.Row, Values: map[string]any{"n": int64(1)}})
	}
	for name, c := range map[string]struct {
		after, before string
		n             int
		want          string
	}{
		"from the first":          {"", "3", 9, "1/a 1/b 2/a 2/b"},
		"no more than asked for":  {"", "3", 3, "1/a 1/b 2/a"},
		"after a row":             {"1/a", "3", 9, "1/b 2/a 2/b"},
		"after a row, a few":      {"1/a", "3", 2, "1/b 2/a"},
		"after a row, one":        {"1/a", "3", 1, "1/b"},
		"after one that is gone":  {"1/aa", "2", 9, "1/b"},
		"after the last":          {"2/b", "3", 9, ""},
		"from a partition on":     {"2/", "3", 9, "2/a 2/b"},
		"from where there is one": {"upload-/", "upload-2", 9, "upload-1/a"},
		"where there is none":     {"upload-/", "upload-1", 9, ""},
	} {
		found, err := rows.ListBefore(t.Context(), key(c.after), c.before, c.n)
		wantErr(t, name, err, nil)
		var got []string
		for _, e := range found {
			got = append(got, e.Partition+"/"+e.Row)
			if e.ETag == "" || e.Values["n"] != int64(1) {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func listRows(t *testing.T, rows Rows) {
	for _, place := range strings.Fields("p/1-b p/1-a p/2 p/c-1 p/c-2 p0/1 o/1") {
		k := key(place)
		insert(t, rows, store.Entity{Partition: k.Partition, Row: k.Row, Values: map[string]any{"n": int64(1)}})
	}
	for name, c := range map[string]struct {
		after, before string
		n             int
		want          string
	}{
		"from the first":         {"", "c", 9, "1-a 1-b 2"},
		"no more than asked for": {"", "c", 2, "1-a 1-b"},
		"after a row":            {"1-a", "c", 9, "1-b 2"},
		"after one that is gone": {"1-aa", "c", 1, "1-b"},
		"after the last":         {"2", "c", 9, ""},
		"from between":           {"c", "d", 9, "c-1 c-2"},
		"before a row":           {"", "2", 9, "1-a 1-b"},
	} {
		found, err := rows.ListRows(t.Context(), "p", c.after, c.before, c.n)
		wantErr(t, name, err, nil)
		var got []string
		for _, e := range found {
			got = append(got, e.Row)
			if e.Partition != "p" || e.ETag == "" || e.Values["n"] != int64(1) {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	_, err := rows.ListRows(t.Context(), "p", "2", "1", 1)
	wantRefused(t, "a range that ends before it begins", err)
	_, err = rows.ListRows(t.Context(), "p", "", "x' or 'a' eq 'a", 1)
	wantRefused(t, "a quote", err)
}

func key(place string) store.Key {
	partition, row, _ := strings.Cut(place, "/")
	return store.Key{Partition: partition, Row: row}
}

func listBlobs(t *testing.T, c Container, _ *http.Client) {
	for n, name := range []string{"x/3", "x/1", "y", "x/2"} {
		put(t, c, name, random(n+1))
	}
	x1, x2, x3 := store.Blob{Name: "x/1", Size: 2}, store.Blob{Name: "x/2", Size: 4}, store.Blob{Name: "x/3", Size: 1}
	for _, list := range []struct {
		prefix string
		n      int
		want   []store.Blob
	}{
		{"", 10, []store.Blob{x1, x2, x3, {Name: "y", Size: 3}}},
		{"", 1, []store.Blob{x1, x2, x3, {Name: "y", Size: 3}}},
		{"x/", 2, []store.Blob{x1, x2, x3}},
		{"x/", 3, []store.Blob{x1, x2, x3}},
		{"z", 2, nil},
	} {
		var all []store.Blob
		for marker := ""; ; {
			found, next, err := c.List(t.Context(), list.prefix, marker, list.n)
			wantErr(t, "list", err, nil)
			if all = append(all, found...); len(found) > list.n || next == marker && next != "" {
				t.Fatalf("%d of %q behind %q: %v, then %q", list.n, list.prefix, marker, found, next)
			}
			if marker = next; marker == "" {
				break
			}
		}
		if !slices.Equal(all, list.want) {
			t.Errorf("%q, %d at a time: %v, want %v", list.prefix, list.n, all, list.want)
		}
	}
}

// A listing that goes on elsewhere meets what has come and gone since behind its marker.
func listBlobsMeanwhile(t *testing.T, c Container, _ *http.Client) {
	for _, name := range []string{"a", "b", "d", "e"} {
		put(t, c, name, random(1))
	}
	_, marker, err := c.List(t.Context(), "", "", 2)
	wantErr(t, "list", err, nil)
	for _, name := range []string{"a", "b", "d"} {
		wantErr(t, "delete", c.Delete(t.Context(), name), nil)
	}
	put(t, c, "aa", random(1))
	put(t, c, "f", random(1))
	found, next, err := c.List(t.Context(), "", marker, 9)
	wantErr(t, "list", err, nil)
	if want := []store.Blob{{Name: "e", Size: 1}, {Name: "f", Size: 1}}; next != "" || !slices.Equal(found, want) {
		t.Errorf("behind the first two: %v, then %q, want %v", found, next, want)
	}
}
