package infra

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// here is the path of a file in this folder, which the compiler wants whole.
func here(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What is committed is what the sources say, without a warning, and is as the formatter has it.
func TestTheTemplateIsCurrent(t *testing.T) {
	t.Parallel()
	bicep := newCompiler(t)
	for _, file := range []string{"main.bicep", "azd.bicep"} {
		built, said := bicep.compile(t, here(t, file))
		if said != nil {
			t.Errorf("%s: %s", file, strings.Join(said, "\n"))
		}
		if file == "main.bicep" && strings.TrimSpace(built) != strings.TrimSpace(read(t, "azuredeploy.json")) {
			t.Error("azuredeploy.json is another: bicep build main.bicep --outfile azuredeploy.json")
		}
	}
	sources, _ := filepath.Glob("*.bicep")
	modules, _ := filepath.Glob("modules/*.bicep")
	for _, file := range append(sources, modules...) {
		var r struct{ Contents string }
		if bicep.call(t, "bicep/format", map[string]string{"path": here(t, file)}, &r); r.Contents != read(t, file) {
			t.Errorf("%s is not formatted: bicep format %s", file, file)
		}
	}
	sets, _ := filepath.Glob("*.bicepparam")
	if len(sets) != 3 {
		t.Error(sets)
	}
	for _, set := range sets {
		var r struct{ Snapshot string }
		bicep.call(t, "bicep/getSnapshot", map[string]any{"path": here(t, set), "metadata": map[string]string{}}, &r)
		if want := read(t, strings.TrimSuffix(set, ".bicepparam")+".snapshot.json"); !slices.Equal(predicted(t, r.Snapshot), predicted(t, want)) {
			t.Errorf("%s comes to other resources than its snapshot has: bicep snapshot %s --mode overwrite", set, set)
		}
	}
}

// predicted are the resources of a snapshot, each as one text, in any order.
func predicted(t *testing.T, snapshot string) (all []string) {
	t.Helper()
	var s struct{ PredictedResources []map[string]any }
	if err := json.Unmarshal([]byte(snapshot), &s); err != nil || len(s.PredictedResources) < 20 {
		t.Fatal(len(s.PredictedResources), err)
	}
	for _, r := range s.PredictedResources {
		text, _ := json.Marshal(r) // it was just read
		all = append(all, string(text))
	}
	slices.Sort(all)
	return all
}

// Mistakes that somebody could make are each found, by the compiler or by the rules.
func TestMistakesAreFound(t *testing.T) {
	t.Parallel()
	bicep := newCompiler(t)
	for _, c := range []struct{ name, file, old, new string }{
		{"a misspelt member", "modules/storage.bicep", "allowBlobPublicAccess:", "allowBlobPublicAcces:"},
		{"a value that is none", "modules/storage.bicep", "'TLS1_2'", "'TLS12'"},
		{"a text for a number", "modules/vault.bicep", "softDeleteRetentionInDays: retentionDays", "softDeleteRetentionInDays: 'seven'"},
		{"a text for a truth", "modules/app.bicep", "httpsOnly: true", "httpsOnly: 'true'"},
		{"a version that is none", "modules/identity.bicep", "@2024-11-30", "@2024-11-31"},
		{"an output that is not there", "main.bicep", "storage.outputs.blob", "storage.outputs.blobs"},
		{"a role at another scope", "modules/vault.bicep", "scope: key", "scope: vault"},
		{"another role", "modules/events.bicep", "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a", "974c5e8b-45b9-4653-ba55-5f855dd0fb88"},
		{"a setting that nobody reads", "main.bicep", "POSTHORN_QUOTA: quota", "POSTHORN_QUOTAS: quota"},
		{"a setting that is missing", "main.bicep", "        POSTHORN_TABLE_ENDPOINT: storage.outputs.table\n", ""},
		{"settings that are forgotten", "modules/settings.bicep", "union(first, kept, own, given)", "union(first, own, given)"},
		{"settings that cannot be changed", "modules/settings.bicep", "union(first, kept, own, given)", "union(kept, first, own, given)"},
		{"settings in the history", "modules/settings.bicep", "@secure()\n@description('Current settings.')", "@description('Current settings.')"},
		{"two limits of memory", "modules/app.bicep", "POSTHORN_HOST_MAX_REQUEST_BYTES: string(memory.hostBodyBytes)", "POSTHORN_HOST_MAX_REQUEST_BYTES: string(memory.bodyBytes)"},
		{"a resource without tags", "modules/identity.bicep", "  tags: tags\n", ""},
		{"keys of the account", "modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true"},
		{"the domains of the first day", "modules/communication.bicep", "union(present.outputs.linkedDomains, linkedDomains, [managed.id])", "[managed.id]"},
		{"a new master key each time", "modules/vault.bicep", "@onlyIfNotExists()\n", ""},
		{"a rule for all containers", "modules/storage.bicep", ", prefixMatch: ['${spool}/']", ""},
		{"a container by another name", "modules/storage.bicep", "var spool = 'posthorn-messages'", "var spool = 'posthorn-letters'"},
		{"a secret in an output", "main.bicep", "output POSTHORN_VAULT string = vault.outputs.name", "output POSTHORN_VAULT string = seed"},
		{"a literal quota", "main.bicep", "empty(quota) ? {} : { POSTHORN_QUOTA: quota }", "{ POSTHORN_QUOTA: 'managed-domain' }"},
		{"literal tracking", "modules/communication.bicep", "present.outputs.engagementTracking", "'Disabled'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, c.file)
			text := read(t, path)
			if !strings.Contains(text, c.old) {
				t.Fatalf("%s has no %q", c.file, c.old)
			}
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, c.old, c.new)), 0o600); err != nil {
				t.Fatal(err)
			}
			if built, said := bicep.compile(t, filepath.Join(dir, "main.bicep")); said == nil && len(load(t, []byte(built)).faults()) == 0 {
				t.Error("it was not found")
			}
		})
	}
}
