// Command release writes all files of a release. In: a version, and a checkout whose commit has
// the tag of it. Out, in dist/release: the zips to deploy, the programs for all systems, the
// template with the address of its zip, a bill of materials, and the sums of these files. Beside
// it, dist/notes.md has what the changelog says.
//
// The version is not told to the programs: they have it from the tag (handler/version), and a
// program that has another ends the release. It publishes nothing; .github/workflows/release.yml
// does. The same commit gives the same files, byte by byte.
package main

import (
	"context"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/posthorn/posthorn/handler/local/pack"
	"github.com/posthorn/posthorn/handler/version"
)

// bomTool makes the bill of materials. Source: github.com/CycloneDX/cyclonedx-gomod.
const bomTool = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	tag := flag.String("version", "", "the release, such as v1.2.3")
	flag.Parse()
	r := release{
		root: ".", dir: filepath.Join("dist", "release"), version: *tag, repository: version.Repository,
		systems: systems, build: compile, notices: pack.Notices, bill: bill, out: os.Stdout,
	}
	err := publish(ctx, r)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// publish writes the release, and beside its folder what the changelog says of it.
func publish(ctx context.Context, r release) error {
	changelog, err := os.ReadFile(filepath.Join(r.root, changelogFile))
	if err != nil {
		return err
	}
	notes, err := changes(string(changelog), r.version)
	if err != nil {
		return err
	}
	if err := r.write(ctx); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(r.dir), notesFile), []byte(notes), 0o600)
}

// compile builds a program that has the version, and no other.
func compile(ctx context.Context, r *release, program string, s system, file string) error {
	if err := pack.Build(ctx, r.root, program, s.os, s.arch, file, "-buildvcs=true"); err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return err
	}
	if got := info.Main.Version; got != r.version {
		return fmt.Errorf("this checkout makes %s, and not %s: commit all changes, and tag the commit with \"git tag %s\"", got, r.version, r.version)
	}
	return nil
}

// bill writes the bill of materials of the module, with the licence of each module. They are
// asserted, since few readers look at evidence; pack.Notices has judged the same texts. The tool
// finds none for Go's own library.
func bill(ctx context.Context, r *release, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", bomTool, "mod", "-json", "-licenses", "-assert-licenses", "-std", "-noserial", "-notimestamp", "-output", file)
	cmd.Dir = r.root
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the bill of materials: %w", err)
	}
	return nil
}
