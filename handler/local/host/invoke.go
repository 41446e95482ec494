package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// envelope is the request of the JSON protocol.
type envelope struct {
	Data     map[string]any
	Metadata map[string]any
}

// newEnvelope carries the value of the trigger binding and what describes it.
// Source: ScriptInvocationContextExtensions.cs.
func (f *function) newEnvelope(value any, metadata map[string]any) envelope {
	metadata["sys"] = map[string]any{
		"MethodName": f.name,
		"UtcNow":     time.Now().UTC().Format(time.RFC3339Nano),
		"RandGuid":   newID(),
	}
	return envelope{Data: map[string]any{f.binding: value}, Metadata: metadata}
}

// text is a string as the host puts it into an envelope: serialised before the
// whole is serialised.
func text(s string) string {
	quoted, _ := json.Marshal(s) //nolint:errchkjson // a string cannot fail
	return string(quoted)
}

var (
	errHangs   = errors.New("the handler's answer is empty or null: the host waits until functionTimeout")
	errTimeout = errors.New("functionTimeout passed")
)

// invoke calls a trigger function. A nil error is the host's success. When
// functionTimeout passes, for an answer that hangs too, the handler is killed
// with everything in it.
func (h *Host) invoke(ctx context.Context, f function, e envelope) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	k, err := h.ready(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.settings.functionTimeout, errTimeout)
	defer cancel()
	err = h.call(ctx, k.url.String()+"/"+f.name, body)
	if errors.Is(err, errHangs) {
		h.log.Error("trigger call hangs", "function", f.name, "error", err)
		select {
		case <-ctx.Done():
		case <-k.exited:
		}
	}
	if errors.Is(context.Cause(ctx), errTimeout) {
		k.recycle(f.name + " passed functionTimeout")
		return errTimeout
	}
	return err
}

func (h *Host) call(ctx context.Context, url string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set(invocationHeader, newID())
	r.Header.Set(versionHeader, version)
	resp, err := h.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return judge(resp.StatusCode, resp.Header.Get("Content-Type"), answer)
}

// judge reads an answer as DefaultHttpWorkerService.cs does.
func judge(status int, contentType string, answer []byte) error {
	answer = bytes.TrimSpace(answer)
	switch {
	case status < 200 || status > 299:
		return fmt.Errorf("the handler answered %d", status)
	case len(answer) == 0:
		return errHangs
	case !isJSON(contentType):
		return fmt.Errorf("no formatter reads the content type %q of the handler's answer", contentType)
	case string(answer) == "null":
		return errHangs
	}
	var result struct {
		Outputs map[string]any
		Logs    []string
	}
	if err := json.Unmarshal(answer, &result); err != nil {
		return fmt.Errorf("the handler's answer: %w", err)
	}
	return nil
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json"))
}
