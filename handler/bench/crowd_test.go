package bench

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

const (
	// crowd is how many requests of 100 MB the handler has memory for.
	crowd = 32
	// headBytes of a body are more than the sockets between hold, so that a client that
	// got rid of them is being read.
	headBytes = 16 * mb
)

// BenchmarkCrowd sends 32 messages of 100 MB at once, and when all of them are
// being read, one more, which must be refused. Then it fetches the 32 files.
func BenchmarkCrowd(b *testing.B) {
	p := world.NewProduct(b)
	p.OpenStorage(b)
	var peak, refusal float64
	identical := crowd
	for b.Loop() {
		w := world.New(b, p, large)
		refused := sendCrowd(b, w)
		peak = max(peak, float64(w.Handler.PeakBytes(b))/mib)
		refusal = max(refusal, float64(refused.Microseconds())/1000)
		identical = min(identical, countIdentical(b, w))
	}
	report(b, figure{name: "memory with 32 times 100 MB", unit: "MiB", value: peak, goal: goal{atMost: 450}})
	report(b, figure{name: "refusal of the 33rd", unit: "ms", value: refusal, goal: goal{atMost: 100}})
	report(b, figure{name: "files of the 32 that are identical", unit: "files", value: float64(identical), goal: goal{atLeast: crowd}})
}

// sendCrowd returns how long the one that is refused waited for that.
func sendCrowd(b *testing.B, w *world.World) time.Duration {
	b.Helper()
	underWay := make(chan error, 2*crowd) // nil from who is read, and one more at the end
	open := make(chan struct{})
	for i := range crowd {
		go func() {
			text, length := body(fmt.Sprintf("canary file %d", i), file(i, largeBytes), largeBytes)
			hold := readFunc(func() {
				underWay <- nil
				<-open
			})
			res, err := deliver(b.Context(), w, io.MultiReader(io.LimitReader(text, headBytes), hold, text), length)
			if err == nil && res.StatusCode != http.StatusAccepted {
				err = fmt.Errorf("message %d was answered %s", i, res.Status)
			}
			underWay <- err
		}()
	}
	for range crowd {
		if err := <-underWay; err != nil {
			b.Fatal(err)
		}
	}
	refused := refuseOneMore(b, w, open)
	close(open)
	for range crowd {
		if err := <-underWay; err != nil {
			b.Fatal(err)
		}
	}
	return refused
}

func refuseOneMore(b *testing.B, w *world.World, open <-chan struct{}) time.Duration {
	b.Helper()
	text, length := body(world.Subject, file(crowd, largeBytes), largeBytes)
	rest := readFunc(func() { <-open }) // the answer must not wait for the body
	start := time.Now()
	res, err := deliver(b.Context(), w, io.MultiReader(io.LimitReader(text, 4096), rest, text), length)
	took := time.Since(start)
	if err != nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		b.Fatal("one more is not refused as it should be: ", err, res)
	}
	return took
}

// readFunc is called at the first Read, and is then at its end.
type readFunc func()

func (f readFunc) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

var fileLink = regexp.MustCompile(`https?://[^\s"<]+/files/[^\s"<]+`)

// countIdentical follows the link in each message to its file.
func countIdentical(b *testing.B, w *world.World) (n int) {
	b.Helper()
	for _, m := range w.ACS.Messages(b) {
		var number int
		if _, err := fmt.Sscanf(m.Subject, "canary file %d", &number); err != nil {
			b.Fatal(err)
		}
		if download(b, w, fileLink.FindString(m.Text)) == sum(b, file(number, largeBytes)) {
			n++
		}
	}
	return n
}

// download follows a link as a recipient does and returns what the SHA-256 of the
// file is.
func download(b *testing.B, w *world.World, link string) [sha256.Size]byte {
	b.Helper()
	redirect := w.Get(b, strings.TrimPrefix(link, w.URL))
	if redirect.StatusCode != http.StatusFound {
		b.Fatalf("the link is answered %s", redirect.Status)
	}
	res, err := w.Recipients.Get(redirect.Header.Get("Location"))
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Fatalf("the file is answered %s", res.Status)
	}
	return sum(b, res.Body)
}
