package rest

import (
	"bytes"
	_ "embed"
	"net/http"
	"strconv"
)

// swaggerJSON is openapi.json as OpenAPI 2.0, cut down to what Logic Apps and Power
// Automate take as a custom connector. TestGeneratedSwagger makes it.
//
//go:embed swagger.json
var swaggerJSON []byte

// swaggerHost and swaggerScheme stand in swaggerJSON for those of the deployment:
// a connector knows no relative addresses.
var (
	swaggerHost   = []byte(`"host": "posthorn.example.com"`)
	swaggerScheme = []byte("\"schemes\": [\n    \"https\"\n  ]")
)

func (a *api) swagger(w http.ResponseWriter, _ *http.Request) error {
	doc := bytes.Replace(a.versioned(swaggerJSON), swaggerHost, []byte(`"host": `+strconv.Quote(a.Public.Host)), 1)
	doc = bytes.Replace(doc, swaggerScheme, []byte(`"schemes": [`+strconv.Quote(a.Public.Scheme)+`]`), 1)
	writeDocument(w, doc)
	return nil
}
