// Package version says which Posthorn this is, and where the project is found. In: what the Go
// compiler has written into the program. Out: one text, the same for --version, the log,
// telemetry, GET /healthz and OpenAPI.
//
// It takes the version from the tag of the checkout that the program was built in, or from the
// module that was installed. No build flag sets it. Source: go.dev/doc/go1.24, section Go
// command, "The go build command now sets the main module's version".
package version

import (
	"runtime/debug"
	"strings"
)

// Where the project is found. `make rename` sets both, and every other mention of them.
const (
	Module     = "github.com/posthorn/posthorn" // the path of the Go module
	Repository = "https://github.com/posthorn/posthorn"
)

// Docs is the address of the folder docs; the name of a page follows.
const Docs = Repository + "/blob/main/docs/"

// Unknown is the version of a program that was built outside of a checkout, such as a test.
const Unknown = "devel"

// String is v1.2.3 of a release, v1.2.3-0.20261128233554-e1c87af00000 between two, and with
// +dirty where the checkout had changes.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Unknown
	}
	return of(info)
}

func of(info *debug.BuildInfo) string {
	if v := info.Main.Version; strings.HasPrefix(v, "v") {
		return v
	}
	return Unknown
}
