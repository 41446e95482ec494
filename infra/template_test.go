package infra

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/wiring"
)

// resource is one of a template, of whatever module.
type resource struct {
	Type       string
	Name       string
	Scope      string
	Existing   bool
	Options    map[string]any `json:"@options"`
	Tags       any
	Properties json.RawMessage
	raw        json.RawMessage // all of it
}

// UnmarshalJSON keeps all of it beside what the rules name.
func (r *resource) UnmarshalJSON(text []byte) error {
	type plain resource
	r.raw = slices.Clone(text)
	return json.Unmarshal(text, (*plain)(r))
}

// template is one of azuredeploy.json: the main one, or a module's.
type template struct {
	Parameters map[string]struct {
		Type         string
		DefaultValue any
	}
	Variables map[string]any
	Resources resources
	Outputs   map[string]output
}

type output struct{ Type, Value any }

// resources are those of a template by symbolic name or, where the compiler writes a list,
// by type, with a prime for each before it.
type resources map[string]resource

// UnmarshalJSON reads both forms.
func (r *resources) UnmarshalJSON(text []byte) error {
	var list []resource
	if json.Unmarshal(text, &list) != nil {
		return json.Unmarshal(text, (*map[string]resource)(r))
	}
	*r = resources{}
	for _, one := range list {
		name := one.Type
		for _, twice := (*r)[name]; twice; _, twice = (*r)[name] {
			name += "'"
		}
		(*r)[name] = one
	}
	return nil
}

// module is what a deployment within a template holds.
type module struct {
	Template   template
	Parameters map[string]json.RawMessage // an object, or an expression that makes one
}

// deployed is azuredeploy.json, with its modules, and theirs, by name.
type deployed struct {
	text    string
	main    template
	modules map[string]module
}

func load(t *testing.T, text []byte) deployed {
	t.Helper()
	d := deployed{text: string(text), modules: map[string]module{}}
	if err := json.Unmarshal(text, &d.main); err != nil {
		t.Fatal(err)
	}
	d.add(t, d.main)
	return d
}

func (d deployed) add(t *testing.T, in template) {
	t.Helper()
	for name, r := range in.Resources {
		if r.Type != "Microsoft.Resources/deployments" {
			continue
		}
		var m module
		if err := json.Unmarshal(r.Properties, &m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d.modules[name] = m
		d.add(t, m.Template)
	}
}

// faults are all that is wrong with a template, each by the rule that it breaks.
func (d deployed) faults() (all []string) {
	add := func(rule string, broken bool, what ...string) {
		if broken {
			all = append(all, rule+": "+strings.Join(what, " "))
		}
	}
	storage, vault := d.modules["storage"].Template, d.modules["vault"].Template

	// Secrets: no key of an account is used, or told.
	add("a key is read", regexp.MustCompile(`(?i)listkeys|listAccountSas`).MatchString(d.text))
	for name, o := range d.outputs() {
		value, _ := o.Value.(string)
		add("a secret in an output", regexp.MustCompile(`(?i)connectionString|seed|masterKey'|list\(`).MatchString(value), name)
	}
	for name, want := range map[string]string{"storage Microsoft.Storage/storageAccounts": `"allowSharedKeyAccess":false`, "communication service": `"disableLocalAuth":true`, "insights Microsoft.Insights/components": `"DisableLocalAuth":true`} {
		of, r, _ := strings.Cut(name, " ")
		add("keys open it", !strings.Contains(compact(d.modules[of].Template.Resources[r].Properties), want), name)
	}

	add("old TLS", !strings.Contains(compact(storage.Resources["Microsoft.Storage/storageAccounts"].Properties), `"minimumTlsVersion":"TLS1_2"`))

	// Names that the code knows, and rules of storage that reach nothing else.
	for variable, want := range map[string]string{
		"files": wiring.FilesContainer, "spool": wiring.MessagesContainer, "dispatch": wiring.DispatchQueue,
		"reports": "posthorn-reports", "deadEvents": "posthorn-dead-events", // doctor's
	} {
		add("the code knows it by another name", storage.Variables[variable] != want, variable)
	}
	lifecycle := compact(storage.Resources["Microsoft.Storage/storageAccounts/managementPolicies"].Properties)
	add("a lifecycle rule is not for one container of Posthorn's", len(wholeContainer.FindAllString(lifecycle, -1)) != strings.Count(lifecycle, `"type":"Lifecycle"`))

	// What an operator may change is never a literal.
	communication, present := d.modules["communication"].Template, d.modules["present"].Template
	linked := compact(communication.Resources["service"].Properties)
	add("linked domains are forgotten", !strings.Contains(linked, "reference('present').outputs.linkedDomains") || !strings.Contains(linked, "parameters('linkedDomains')"))
	add("engagement tracking is a literal", !strings.Contains(compact(communication.Resources["managed"].Properties), "reference('present').outputs.engagementTracking"))
	for of, from := range map[string][2]string{"linkedDomains": {"service", "linkedDomains"}, "engagementTracking": {"email::managed", "userEngagementTracking"}} {
		value, _ := present.Outputs[of].Value.(string)
		_, optional := present.Resources[from[0]].Options["nullIfNotFound"]
		add("what is there is not read", !optional || !strings.Contains(value, "reference('"+from[0]+"'") || !strings.Contains(value, "'"+from[1]+"'"), of)
	}
	for of, r := range map[string]resource{"the master key": vault.Resources["key"], "the budget": d.modules["warning"].Template.Resources["budget"]} {
		_, once := r.Options["onlyIfNotExists"]
		add("made anew each time", !once, of)
	}
	return slices.Concat(all, d.roleFaults(), d.settingFaults(), d.tagFaults(), d.missing(), d.handedFaults())
}

// wholeContainer is the filter of a lifecycle rule that reaches no other container: not that of
// the package, nor the host's.
var wholeContainer = regexp.MustCompile(`"prefixMatch":\["\[format\('\{0\}/', variables\('(files|spool|deadEvents)'\)\)\]"\]`)

// outputs are those of the template and of all its modules.
func (d deployed) outputs() map[string]output {
	all := maps.Clone(d.main.Outputs)
	for of, m := range d.modules {
		for name, o := range m.Template.Outputs {
			all[of+" "+name] = o
		}
	}
	return all
}

// untagged are types of which Azure keeps no tags.
var untagged = regexp.MustCompile(`/(roleAssignments|deployments|config|extensions|basicPublishingCredentialsPolicies|blobServices|containers|queueServices|queues|managementPolicies|eventSubscriptions|privateDnsZoneGroups|budgets)$`)

// tagFaults are resources without the tags that a tenant may demand, and a site that neither
// azd nor posthorn finds.
func (d deployed) tagFaults() (all []string) {
	if tags, _ := d.modules["app"].Template.Resources["site"].Tags.(string); !strings.Contains(tags, "createObject('azd-service-name', 'posthorn')") {
		all = append(all, "the site has no tag by which it is found: "+tags)
	}
	for of, m := range d.modules {
		for name, r := range m.Template.Resources {
			tags, _ := r.Tags.(string)
			if !r.Existing && !untagged.MatchString(r.Type) && !strings.Contains(tags, "parameters('tags')") {
				all = append(all, "without tags: "+of+" "+name)
			}
		}
	}
	return all
}

func compact(text json.RawMessage) string {
	var v any
	_ = json.Unmarshal(text, &v)
	out := &strings.Builder{}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return out.String()
}

// roles are all that somebody gets, by module and resource: the scope, and the role ids.
var roles = map[string][]string{
	"communication send": {"resourceId('Microsoft.Communication/communicationServices', parameters('name'))", "09976791-48a7-449e-bb21-39d1a415f350"},
	"storage Microsoft.Authorization/roleAssignments": {
		"resourceId('Microsoft.Storage/storageAccounts', parameters('name'))",
		"b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "974c5e8b-45b9-4653-ba55-5f855dd0fb88", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
	},
	"vault read": {"resourceId('Microsoft.KeyVault/vaults/secrets', parameters('name'), 'posthorn-master-key')", "4633458b-17de-408a-b874-0445c86b69e6"},
	"events Microsoft.Authorization/roleAssignments": {
		"resourceId('Microsoft.Storage/storageAccounts/queueServices/queues', parameters('storageName'), 'default', parameters('queueName'))", "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
	},
	"events Microsoft.Authorization/roleAssignments'": {
		"resourceId('Microsoft.Storage/storageAccounts/blobServices/containers', parameters('storageName'), 'default', parameters('deadContainerName'))", "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
	},
	"people Microsoft.Authorization/roleAssignments": {
		"resourceId('Microsoft.Storage/storageAccounts', parameters('storageName'))",
		"ba92f5b4-2d11-453d-a403-e96b0029c9fe", "974c5e8b-45b9-4653-ba55-5f855dd0fb88", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
	},
	"people Microsoft.Authorization/roleAssignments'":  {"resourceId('Microsoft.KeyVault/vaults/secrets', parameters('vaultName'), parameters('secretName'))", "4633458b-17de-408a-b874-0445c86b69e6"},
	"insights Microsoft.Authorization/roleAssignments": {"resourceId('Microsoft.Insights/components', parameters('name'))", "3913510d-42f4-4e42-8a64-420c390055eb"},
}

var roleIDs = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func (d deployed) roleFaults() (all []string) {
	seen := 0
	for of, m := range d.modules {
		for name, r := range m.Template.Resources {
			if r.Type != "Microsoft.Authorization/roleAssignments" {
				continue
			}
			seen++
			want := roles[of+" "+name]
			if len(want) == 0 {
				all = append(all, "a role that the page does not know: "+of+" "+name)
				continue
			}
			said := compact(r.Properties)
			for variable, value := range m.Template.Variables {
				if strings.Contains(said, "variables('"+variable+"')") {
					text, _ := json.Marshal(value)
					said += string(text)
				}
			}
			ids := slices.Compact(slices.Sorted(slices.Values(roleIDs.FindAllString(said, -1))))
			if !slices.Equal(ids, slices.Sorted(slices.Values(want[1:]))) {
				all = append(all, "another role: "+of+" "+name+" "+strings.Join(ids, " "))
			}
			if r.Scope != "["+want[0]+"]" {
				all = append(all, "a role at another scope: "+of+" "+name+" "+r.Scope)
			}
			// An operator may be a person; the identities are new, and Azure finds them by their type alone.
			if of != "people" && !strings.Contains(compact(r.Properties), `"principalType":"ServicePrincipal"`) {
				all = append(all, "a role without a type of principal: "+of+" "+name)
			}
		}
	}
	if seen != len(roles) {
		all = append(all, "a role is missing")
	}
	return all
}

func TestTheTemplateKeepsTheRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("azuredeploy.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range load(t, text).faults() {
		t.Error(fault)
	}
}
