//go:build race

// Package contract finds no fault under the race detector: it need not be compiled
// for it too, since the same tests hold the same answers without it.
package contract

import "net/http"

// Document is empty.
type Document struct{}

// Read reads nothing.
func Read([]byte) (*Document, error) { return &Document{}, nil }

// Faults are none.
func (*Document) Faults() []string { return nil }

// FaultsOf are none.
func (*Document) FaultsOf(*http.Request, *http.Response) []string { return nil }
