package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/version"
)

// probeFinding is what is known of one probe. It holds no address and no token.
type probeFinding struct {
	Answer   string    `json:"answer,omitempty"` // empty: begun, and not answered
	Evidence []string  `json:"evidence,omitempty"`
	At       time.Time `json:"at"`
	Version  string    `json:"version"`
	Typed    bool      `json:"typed,omitempty"` // by a person
	// Operation is the id of the message that others go on from.
	Operation string `json:"operation,omitempty"`
	// Digest is short: it tells whether a message is the one that was sent, and no more.
	Digest string `json:"digest,omitempty"`
	// Left are resources that the probe made and that may still be there.
	Left []azure.ID `json:"left,omitempty"`
}

// probeFindings is the file of what was found, beside the connection's file.
type probeFindings struct {
	name string
	all  map[azure.ID]map[string]*probeFinding // by Communication Services resource
	here map[string]*probeFinding              // those of the connected one, by probe
}

// openFindings reads the file, or begins one.
func (c *console) openFindings(service azure.ID) (*probeFindings, error) {
	beside, err := c.connectionFile()
	if err != nil {
		return nil, err
	}
	f := &probeFindings{name: filepath.Join(filepath.Dir(beside), "probes.json"), all: map[azure.ID]map[string]*probeFinding{}}
	text, err := os.ReadFile(f.name)
	if err == nil {
		err = json.Unmarshal(text, &f.all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the answers of earlier probes: %w; move the file away to begin anew", err)
	}
	if f.all == nil {
		f.all = map[azure.ID]map[string]*probeFinding{}
	}
	key := azure.ID(strings.ToLower(string(service)))
	if f.all[key] == nil {
		f.all[key] = map[string]*probeFinding{}
	}
	f.here = f.all[key]
	return f, nil
}

// of is never nil.
func (f *probeFindings) of(id string) *probeFinding {
	if k := f.here[id]; k != nil {
		return k
	}
	return &probeFinding{}
}

// begin forgets what was known of a probe, and of what goes on from it.
func (f *probeFindings) begin(p probe, now time.Time) *probeFinding {
	k := &probeFinding{At: now, Version: version.String(), Left: f.of(p.id).Left}
	for _, q := range probes() {
		if q.after == p.id {
			delete(f.here, q.id)
		}
	}
	f.here[p.id] = k
	return k
}

// due is when a probe may be asked; not begun: what it goes on from has no answer yet.
func (f *probeFindings) due(p probe) (at time.Time, begun bool) {
	if p.after == "" {
		return time.Time{}, true
	}
	base := f.of(p.after)
	return base.At.Add(p.wait), base.Answer != ""
}

// note keeps an answer that a person gives, as ID=WORD.
func (f *probeFindings) note(all []probe, said string, now time.Time) error {
	id, word, found := strings.Cut(said, "=")
	for _, p := range all {
		if !found || !strings.EqualFold(p.id, id) {
			continue
		}
		for _, o := range p.answers {
			if strings.EqualFold(o.word, word) {
				k := &probeFinding{Answer: o.word, At: now, Version: version.String(), Typed: true, Left: f.of(p.id).Left}
				if p.ask != nil && f.of(p.id).Operation != "" {
					k.At, k.Operation, k.Digest = f.of(p.id).At, f.of(p.id).Operation, f.of(p.id).Digest
				}
				f.here[p.id] = k
				return f.save()
			}
		}
		return usageError(fmt.Sprintf("%q is no answer of %s: it is one of %s", word, p.id, strings.Join(p.words(), ", ")))
	}
	return usageError(fmt.Sprintf("--answer is ID=WORD, such as P5=visible; %q is not", said))
}

// save replaces the file as a whole. Others cannot read it.
func (f *probeFindings) save() error {
	text, err := json.MarshalIndent(f.all, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(f.name), 0o700)
	}
	var next *os.File
	if err == nil {
		next, err = os.CreateTemp(filepath.Dir(f.name), ".probes-*") // its mode is 0600
	}
	if err != nil {
		return fmt.Errorf("keep the answers: %w", err)
	}
	_, err = next.Write(text)
	if closed := next.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(next.Name(), f.name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep the answers: %w", err), os.Remove(next.Name()))
	}
	return nil
}
