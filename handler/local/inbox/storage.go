package inbox

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// storage keeps the requests. The inbox calls it under its lock; an error of put
// leaves nothing behind.
type storage interface {
	put(s *Summary, request []byte) error
	read(s *Summary) ([]byte, error)
	remove(s *Summary) error
}

// memory keeps requests by the id of their message.
type memory map[string][]byte

func (m memory) put(s *Summary, request []byte) error {
	m[s.ID] = request
	return nil
}

func (m memory) read(s *Summary) ([]byte, error) { return m[s.ID], nil }

func (m memory) remove(s *Summary) error {
	delete(m, s.ID)
	return nil
}

// folder keeps each request in a file whose name holds what the request does not:
// when it came, and its id.
type folder string

const nameTime = "20060102T150405.000000000Z"

// fileName is nameTime, "_", the id of the message.
var fileName = regexp.MustCompile(`^(\d{8}T\d{6}\.\d{9}Z)_([A-Za-z0-9-]+(?:\.\d+)?)\.json$`)

func (f folder) path(s *Summary) string {
	return filepath.Join(string(f), s.At.Format(nameTime)+"_"+s.ID+".json")
}

func (f folder) put(s *Summary, request []byte) error {
	path := f.path(s)
	if !fileName.MatchString(filepath.Base(path)) {
		return fmt.Errorf("operation id %q cannot be a file's name", s.ID)
	}
	part := path + ".part" // a file half written must not look like a message
	if err := os.WriteFile(part, request, 0o600); err != nil {
		_ = os.Remove(part)
		return err
	}
	return os.Rename(part, path)
}

func (f folder) read(s *Summary) ([]byte, error) { return os.ReadFile(f.path(s)) }

func (f folder) remove(s *Summary) error { return os.Remove(f.path(s)) }

// load reads a folder. Files that are no messages stay where they are.
func (b *Inbox) load(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir) // sorted by name, so by time
	if err != nil {
		return err
	}
	b.store = folder(dir)
	for _, entry := range entries {
		parts := fileName.FindStringSubmatch(entry.Name())
		if parts == nil {
			continue
		}
		s, err := readSummary(filepath.Join(dir, entry.Name()), parts[1], parts[2])
		if err != nil {
			b.log.Warn("a file in the inbox's folder is no message", "error", err)
			continue
		}
		b.insert(s)
	}
	return nil
}

func readSummary(path, at, id string) (*Summary, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := summarize(body)
	if err != nil {
		return nil, err
	}
	s.ID = id
	s.OperationID, _, _ = strings.Cut(id, ".")
	s.At, err = time.Parse(nameTime, at)
	return s, err
}
