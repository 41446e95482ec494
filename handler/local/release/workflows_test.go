package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// workflow is what the tests look at of one.
type workflow struct {
	On          map[string]any
	Permissions map[string]string
	Jobs        map[string]struct {
		Needs       string
		Permissions map[string]string
		Steps       []step
	}
}

type step struct {
	Uses, Run string
	With, Env map[string]any
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d workflows, %v", len(files), err)
	}
	all := map[string]workflow{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = w
	}
	return all
}

var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)

// An action is code of others with the rights of its job: it is pinned by its commit, and what
// somebody else may name is no part of a script.
func TestActionsArePinned(t *testing.T) {
	t.Parallel()
	for file, w := range workflows(t) {
		for name, job := range w.Jobs {
			for _, s := range job.Steps {
				if s.Uses != "" && !pinned.MatchString(s.Uses) {
					t.Errorf("%s: the job %s uses %s, which can change", file, name, s.Uses)
				}
				if strings.Contains(s.Run, "${{") {
					t.Errorf("%s: the job %s makes a script of what it is given: %s", file, name, s.Run)
				}
				if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != false {
					t.Errorf("%s: the job %s leaves its token in the checkout", file, name)
				}
			}
		}
	}
}

// Only the job that publishes may write, and nothing beside it.
func TestPermissionsAreTheLeast(t *testing.T) {
	t.Parallel()
	read := map[string]string{"contents": "read"}
	publish := map[string]string{"contents": "write", "id-token": "write", "attestations": "write"}
	for file, w := range workflows(t) {
		if w.Permissions == nil || len(w.Permissions) > 0 && !maps.Equal(w.Permissions, read) {
			t.Errorf("%s: every job may %v", file, w.Permissions)
		}
		for name, job := range w.Jobs {
			want := read
			if file == "release.yml" && name == "publish" {
				want = publish
			}
			if job.Permissions != nil && !maps.Equal(job.Permissions, want) {
				t.Errorf("%s: the job %s may %v", file, name, job.Permissions)
			}
		}
	}
}

// What a change does not need is looked for in each night, and vulnerabilities in changes too.
func TestLongJobsRunAtNight(t *testing.T) {
	t.Parallel()
	all := workflows(t)
	if _, scheduled := all["nightly.yml"].On["schedule"]; !scheduled {
		t.Errorf("nightly.yml runs on %v", all["nightly.yml"].On)
	}
	for file, wanted := range map[string][]string{
		"ci.yml":      {"make build", "make test", "make check", "make vulns"},
		"nightly.yml": {"make sim SEEDS=1000", "make scale", "make quick", "make vulns"},
	} {
		var ran []string
		for _, job := range all[file].Jobs {
			for _, s := range job.Steps {
				ran = append(ran, s.Run)
			}
		}
		for _, command := range wanted {
			if !slices.Contains(ran, command) {
				t.Errorf("%s does not run %s", file, command)
			}
		}
	}
}

// updated are the files that Dependabot raises, by the name of their kind there.
var updated = map[string]string{"go.mod": "gomod", "package.json": "npm"}

// A folder that Dependabot is not told of grows old unseen.
func TestUpdatesCoverAllModules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, ".github", "dependabot.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	got, want := []string{}, []string{"github-actions /"}
	for _, u := range config.Updates {
		for _, folder := range append(u.Directories, u.Directory) {
			if folder != "" {
				got = append(got, u.Ecosystem+" "+folder)
			}
		}
	}
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && path != root && d.IsDir() && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"node_modules", "testdata", "dist"}, d.Name())) {
			return filepath.SkipDir
		}
		if kind := updated[filepath.Base(path)]; err == nil && kind != "" {
			folder, err := filepath.Rel(root, filepath.Dir(path))
			want = append(want, kind+" /"+strings.TrimPrefix(filepath.ToSlash(folder), "."))
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("it looks at %v, and should at %v", got, want)
	}
}

// A tag is tested, and then all that the command writes is proven and published.
func TestATagPublishesAllFiles(t *testing.T) {
	t.Parallel()
	w := workflows(t)["release.yml"]
	push, _ := w.On["push"].(map[string]any)
	if tags, _ := push["tags"].([]any); len(w.On) != 1 || len(push) != 1 || !slices.Equal(tags, []any{"v*"}) {
		t.Errorf("it runs on %v", w.On)
	}
	if !slices.ContainsFunc(w.Jobs["test"].Steps, func(s step) bool { return s.Run == "make test" }) || w.Jobs["publish"].Needs != "test" {
		t.Error("it publishes what was not tested")
	}
	all := filepath.ToSlash(filepath.Join("dist", "release")) + "/*"
	var did []string
	for _, s := range w.Jobs["publish"].Steps {
		switch {
		case strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["fetch-depth"] == 0:
			did = append(did, "tags")
		case s.Run == `make release VERSION="$GITHUB_REF_NAME"`:
			did = append(did, "write")
		case strings.HasPrefix(s.Uses, "actions/attest-build-provenance@") && s.With["subject-path"] == all:
			did = append(did, "prove")
		case s.Run == `gh release create "$GITHUB_REF_NAME" `+all+" --verify-tag --notes-file dist/"+notesFile:
			did = append(did, "publish")
		}
	}
	if want := []string{"tags", "write", "prove", "publish"}; !slices.Equal(did, want) {
		t.Errorf("it does %v, and not %v", did, want)
	}
}
