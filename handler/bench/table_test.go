package bench

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
)

// figure is one line of the table.
type figure struct {
	name string
	unit string
	// metric is the unit in the benchmark's own line, where each must be another;
	// empty if it is unit.
	metric string
	// value is what was measured; baseline, if there is one, what it is held
	// against, measured in the same run.
	value, baseline float64
	of              string // what the baseline is
	goal            goal
}

// goal bounds the ratio of a figure to its baseline, or the figure itself if it
// has none. Zero means that there is no bound.
type goal struct{ atLeast, atMost float64 }

func (f figure) judged() float64 {
	if f.baseline == 0 {
		return f.value
	}
	return f.value / f.baseline
}

func (f figure) met() string {
	switch j := f.judged(); {
	case f.goal == goal{}:
		return "-"
	case f.goal.atLeast > 0 && j < f.goal.atLeast, f.goal.atMost > 0 && j > f.goal.atMost:
		return "no"
	}
	return "yes"
}

func (g goal) String() string {
	switch {
	case g.atLeast > 0:
		return fmt.Sprintf("at least %g", g.atLeast)
	case g.atMost > 0:
		return fmt.Sprintf("at most %g", g.atMost)
	}
	return "-"
}

// figures are kept until all benchmarks have ended: their order, and one line for
// each, however often its benchmark runs.
type figures struct {
	mu   sync.Mutex
	rows []figure
}

// table is what TestMain prints. It is the only way from a benchmark to there.
var table figures

func (all *figures) add(f figure) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if i := slices.IndexFunc(all.rows, func(r figure) bool { return r.name == f.name }); i >= 0 {
		all.rows[i] = f
		return
	}
	all.rows = append(all.rows, f)
}

func (all *figures) print(w io.Writer) error {
	if len(all.rows) == 0 {
		return nil
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "\nfigure\tvalue\tbaseline\tof\tratio\tgoal\tmet")
	for _, f := range all.rows {
		baseline, of, ratio := "-", "-", "-"
		if f.baseline != 0 {
			baseline, of, ratio = amount(f.baseline, f.unit), f.of, fmt.Sprintf("%.2f", f.judged())
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.name, amount(f.value, f.unit), baseline, of, ratio, f.goal, f.met())
	}
	return out.Flush()
}

func amount(v float64, unit string) string { return fmt.Sprintf("%.4g %s", v, unit) }

// report puts a figure into the table and into the benchmark's own line.
func report(b *testing.B, f figure) {
	b.Helper()
	table.add(f)
	metric := cmp.Or(f.metric, f.unit)
	b.ReportMetric(f.value, metric)
	if f.baseline != 0 {
		b.ReportMetric(f.baseline, metric+"-baseline")
		b.ReportMetric(f.judged(), metric+"-ratio")
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := table.print(os.Stdout); err != nil {
		code = 1
	}
	os.Exit(code)
}
