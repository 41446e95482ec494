package version

import (
	"runtime/debug"
	"testing"
)

func TestVersionIsThatOfTheBuild(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, built, want string }{
		{"a release", "v1.2.3", "v1.2.3"},
		{"a release to come", "v1.2.3-rc.1", "v1.2.3-rc.1"},
		{"between two", "v1.2.4-0.20261128233554-e1c87af00000", "v1.2.4-0.20261128233554-e1c87af00000"},
		{"with changes", "v1.2.3+dirty", "v1.2.3+dirty"},
		{"outside of a checkout", "(devel)", Unknown},
		{"without a module", "", Unknown},
	} {
		if got := of(&debug.BuildInfo{Main: debug.Module{Version: c.built}}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := String(); got != Unknown {
		t.Errorf("a test says that it is %q", got)
	}
}
