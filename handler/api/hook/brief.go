package hook

import (
	"slices"
	"strings"
	"time"
)

// brief lays a value out as rows does, for people: without what is empty, without
// ids and addresses that are for programs, with the names of programs as words and
// times as dates. Below its own members, what has a name is shown by it. The members
// that are left out are named.
func brief(v value, without []string) []row {
	v.members = slices.DeleteFunc(slices.Clone(v.members), func(of member) bool { return slices.Contains(without, of.name) })
	if v = v.forPeople(0); v.empty() {
		return nil
	}
	all := rows(v)
	for i, of := range all {
		all[i].Name = capital(phrase(of.Name))
		if t, err := time.Parse(time.RFC3339, of.Text); err == nil {
			all[i].Text = t.UTC().Format(dateLayout)
		}
	}
	return all
}

// forPeople is v with the parts of it that a person reads.
func (v value) forPeople(depth int) value {
	switch v.kind {
	case object:
		some := value{kind: object}
		for _, of := range v.members {
			if forPrograms(of.name, of.value.text) {
				continue
			}
			if of.name == "url" || strings.HasSuffix(of.name, "_url") {
				of.name = "address"
			}
			if of.value = of.value.shown(depth); !of.value.empty() {
				some.members = append(some.members, of)
			}
		}
		return some
	case array:
		list := value{kind: array}
		for _, item := range v.items {
			list.items = append(list.items, item.shown(1))
		}
		return list
	}
	return v
}

// shown is a member: people, repositories and what stands deeper, by name.
func (v value) shown(depth int) value {
	name := v.title()
	if name != "" && (depth > 0 || name == v.step("login").text || name == v.step("full_name").text) {
		return value{kind: text, text: name}
	}
	return v.forPeople(depth + 1)
}

// forPrograms says whether a member is of no use to who reads.
func forPrograms(name, content string) bool {
	switch name {
	case "html_url", "target_url", "web_url":
		return false
	case "url": // GitHub's leads to its API, GitLab's to a page
		return webAddress(content) == "" || strings.Contains(content, "//api.") || strings.Contains(content, "/api/")
	case "id", "node_id", "gravatar_id", "_links", "body_html", "permissions", "client_secret":
		return true
	}
	return strings.HasSuffix(name, "_url") || strings.HasSuffix(name, "_id")
}

// titles are the members by which an object is called.
var titles = [...]string{"login", "full_name", "title", "name"}

// title is what an object is called by; "" if it has no name.
func (v value) title() string {
	for _, name := range titles {
		if of := v.step(name); v.kind == object && of.kind == text && of.text != "" {
			return of.text
		}
	}
	return ""
}

// called is what the value is called by or, where it has no name, the first of its
// members that has one, is no person, and is not left out.
func (v value) called(without []string) string {
	if name := v.title(); name != "" {
		return name
	}
	for _, of := range v.members {
		if name := of.value.title(); name != "" && name != of.value.step("login").text && !slices.Contains(without, of.name) {
			return name
		}
	}
	return ""
}

// names lists what the objects of a list are called by.
func names(list any) []any {
	all, _ := list.([]any)
	var out []any
	for _, item := range all {
		of, _ := item.(map[string]any)
		for _, by := range titles {
			if name, ok := of[by].(string); ok && name != "" {
				out = append(out, name)
				break
			}
		}
	}
	return out
}
