// Package browsertest starts a headless Chromium for tests that look at a page as
// a person would. Where there is none, such a test is skipped, or fails if the
// environment requires one: handler/test/require says how. A short run starts none.
// Chromium is driven by chromedp; what to do in it is the test's concern.
package browsertest

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/posthorn/posthorn/handler/test/require"
)

// patience bounds a browser that hangs; nothing waits for it to pass.
const patience = time.Minute

// Open starts Chromium with a window of this size, or ends the test. The browser
// ends with the test.
func Open(t *testing.T, width, height int) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		require.Missing(t, require.Browser)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("force-device-scale-factor", "2"), chromedp.WindowSize(width, height))
	deadline, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	process, cancel := chromedp.NewExecAllocator(deadline, options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(process)
	t.Cleanup(cancel)
	return ctx
}
