package main

import (
	"slices"
	"strings"
	"testing"
)

// In: what go test -json writes of a package, shortened. Out: what a reader sees,
// and which skipped tests a strict run refuses.
func TestWhatWasSkippedIsToldAndTheRestIsAsOfGoTest(t *testing.T) {
	t.Parallel()
	const wire = `"Package":"` + module + `handler/accept/wire"`
	for _, row := range []struct {
		name    string
		events  []string
		out     string
		refused []string
	}{
		{
			"all pass, and one says something",
			[]string{
				`{"Action":"run",` + wire + `,"Test":"TestA"}`,
				`{"Action":"output",` + wire + `,"Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output",` + wire + `,"Test":"TestA","Output":"    a_test.go:7: a log\n"}`,
				`{"Action":"output",` + wire + `,"Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}`,
				`{"Action":"pass",` + wire + `,"Test":"TestA"}`,
				`{"Action":"output",` + wire + `,"Output":"PASS\n"}`,
				`{"Action":"output",` + wire + `,"Output":"ok  \twire\t0.1s\n"}`,
				`{"Action":"pass",` + wire + `}`,
			},
			"ok  \twire\t0.1s\n1 tests and subtests passed, 0 failed, 0 skipped\n",
			nil,
		},
		{
			"one fails",
			[]string{
				`{"Action":"output",` + wire + `,"Test":"TestA","Output":"    a_test.go:7: want 1\n"}`,
				`{"Action":"output",` + wire + `,"Test":"TestB","Output":"    b_test.go:1: of another\n"}`,
				`{"Action":"output",` + wire + `,"Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}`,
				`{"Action":"fail",` + wire + `,"Test":"TestA"}`,
				`{"Action":"pass",` + wire + `,"Test":"TestB"}`,
				`{"Action":"output",` + wire + `,"Output":"FAIL\n"}`,
				`{"Action":"fail",` + wire + `}`,
			},
			"    a_test.go:7: want 1\n--- FAIL: TestA (0.00s)\nFAIL\n1 tests and subtests passed, 1 failed, 0 skipped\n",
			nil,
		},
		{
			"a process that dies within a test",
			[]string{
				`{"Action":"output",` + wire + `,"Test":"TestA/one","Output":"panic: no\n"}`,
				`{"Action":"output",` + wire + `,"Output":"FAIL\twire\t0.1s\n"}`,
				`{"Action":"fail",` + wire + `}`,
			},
			"FAIL\twire\t0.1s\npanic: no\n0 tests and subtests passed, 0 failed, 0 skipped\n",
			nil,
		},
		{
			"a package that does not build",
			[]string{
				`{"ImportPath":"wire","Action":"build-output","Output":"a.go:1: undefined: b\n"}`,
				`{"ImportPath":"wire","Action":"build-fail"}`,
				`{"Action":"output",` + wire + `,"Output":"FAIL\twire [build failed]\n"}`,
				`{"Action":"fail",` + wire + `}`,
			},
			"a.go:1: undefined: b\nFAIL\twire [build failed]\n0 tests and subtests passed, 0 failed, 0 skipped\n",
			nil,
		},
		{
			"two are skipped, one of which may be",
			[]string{
				`{"Action":"output",` + wire + `,"Test":"TestChild","Output":"    a_test.go:7: for another\n"}`,
				`{"Action":"skip",` + wire + `,"Test":"TestChild"}`,
				`{"Action":"output",` + wire + `,"Test":"TestA","Output":"    a_test.go:7: there is: no browser\n"}`,
				`{"Action":"skip",` + wire + `,"Test":"TestA"}`,
				`{"Action":"skip",` + wire + `}`,
			},
			"0 tests and subtests passed, 0 failed, 2 skipped\n" +
				"  skipped: handler/accept/wire TestChild: for another\n  skipped: handler/accept/wire TestA: there is: no browser\n",
			[]string{"handler/accept/wire TestA"},
		},
		{"no event", []string{"go: no such tool"}, "go: no such tool\n0 tests and subtests passed, 0 failed, 0 skipped\n", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			r := &report{out: &out}
			if err := r.read(strings.NewReader(strings.Join(row.events, "\n") + "\n")); err != nil {
				t.Fatal(err)
			}
			r.sum()
			if out.String() != row.out {
				t.Errorf("printed\n%s\nwant\n%s", out.String(), row.out)
			}
			if got := r.refused(); !slices.Equal(got, row.refused) {
				t.Errorf("refused %q, want %q", got, row.refused)
			}
		})
	}
}

// What go test refuses is no pass.
func TestTheEndIsThatOfGoTest(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run([]string{"./nothere"}, false, &out); err == nil {
		t.Errorf("no error, and the output\n%s", out.String())
	}
}
