//go:build !race

// Package contract holds answers against an OpenAPI document, for the tests of
// api/rest. Nobody else may import it.
//
// A package that names a type of libopenapi compiles much of it: the tests took ten seconds
// and 0.7 GB more with every change of them. It also keeps all that it parses, so one
// Document is for all tests.
package contract

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	faults "github.com/pb33f/libopenapi-validator/errors"
)

// Document is safe for concurrent use. That it holds functions keeps libopenapi's
// types out of its own.
type Document struct {
	own func() []string
	of  func(*http.Request, *http.Response) []string
}

// Read parses an OpenAPI document.
func Read(text []byte) (*Document, error) {
	parsed, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Document{
		own: func() []string {
			_, all := v.ValidateDocument()
			return sentences(all)
		},
		of: func(req *http.Request, res *http.Response) []string {
			_, all := v.ValidateHttpResponse(req, res)
			return sentences(all)
		},
	}, nil
}

// Faults are those of the document itself.
func (d *Document) Faults() []string { return d.own() }

// FaultsOf are those of the answer to a request. It reads the answer's body.
func (d *Document) FaultsOf(req *http.Request, res *http.Response) []string { return d.of(req, res) }

func sentences(all []*faults.ValidationError) (out []string) {
	for _, f := range all {
		out = append(out, f.Message+": "+f.Reason)
		for _, s := range f.SchemaValidationErrors {
			out = append(out, fmt.Sprintf("  %s at %s", s.Reason, s.FieldPath))
		}
	}
	return out
}
