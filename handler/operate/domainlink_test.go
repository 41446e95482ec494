package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

const (
	second = testEmails + "/domains/second.test"
	third  = testEmails + "/domains/third.test"
)

// meanwhile has somebody else make the list so before the nth request of a method.
func (d *testOperator) meanwhile(method string, n int, ids ...string) {
	count := 0
	d.Before(method, "/communicationServices/post", func() {
		if count++; count == n {
			d.links(ids...)
		}
	})
}

func TestTheLinkedListIsChangedByOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before []string
		do     func(*testOperator)
		words  string
		after  []string
		says   string
		code   int
	}{
		{"linked", []string{testManaged, second}, nil, "link example.test", []string{testManaged, second, testDomain}, "The linked domains are: AzureManagedDomain, second.test, example.test.", 0},
		{"linked already, in other letters", []string{strings.ToUpper(testDomain), second}, nil, "link example.test", []string{strings.ToUpper(testDomain), second}, "is linked already", 0},
		{"linked first of all", nil, nil, "link example.test", []string{testDomain}, "Linked ", 0},
		{"one of another Email Service", []string{testManaged}, nil, "link " + foreign, []string{testManaged, foreign}, "Linked " + foreign, 0},
		{"the managed one", []string{testDomain}, nil, "link azuremanageddomain", []string{testDomain, testManaged}, "Linked ", 0},
		{"one that is not verified", []string{testManaged}, func(d *testOperator) { d.has(testDomain, azure.StatusVerified, "SPF", "NotStarted", "") }, "link example.test", []string{testManaged}, "ACS has not verified SPF of example.test yet. Run \"posthorn domain verify example.test\" first", exitFailed},
		{"refused by Azure", []string{testManaged}, func(d *testOperator) {
			d.Fail("PATCH", "/communicationServices/post", -1, 400, "DomainValidationError", "Requested domain is not in the data location.")
		}, "link example.test", []string{testManaged}, "could not change the linked domains of post: Requested domain is not in the data location", exitFailed},
		{"without the right", []string{testManaged}, func(d *testOperator) {
			d.Fail("PATCH", "/communicationServices/post", -1, 403, "AuthorizationFailed", "No.")
		}, "link example.test", []string{testManaged}, "lacks a right", exitAway},
		{"busy once", []string{testManaged}, func(d *testOperator) { d.Fail("PATCH", "/communicationServices/post", 1, 409, "Conflict", "Busy.") }, "link example.test", []string{testManaged, testDomain}, "Linked ", 0},
		{"busy for good", []string{testManaged}, func(d *testOperator) { d.Fail("PATCH", "/communicationServices/post", -1, 409, "Conflict", "Busy.") }, "link example.test", []string{testManaged}, "could not change the linked domains of post: Busy (Conflict)", exitFailed},
		{"others link meanwhile", []string{testManaged}, func(d *testOperator) { d.meanwhile("PATCH", 1, testManaged, second) }, "link example.test", []string{testManaged, second, testDomain}, "second.test, example.test.", 0},
		{"others undo every link", []string{testManaged}, func(d *testOperator) {
			d.Before("GET", "/communicationServices/post", func() { d.links(testManaged, second) })
		}, "link example.test", nil, "but the list stays. Another program may change it too", exitFailed},
		{"others undo the link", []string{testManaged}, func(d *testOperator) { d.meanwhile("GET", 2, testManaged, second) }, "link example.test", []string{testManaged, second, testDomain}, "second.test, example.test.", 0},
		{"others unlink meanwhile", []string{testManaged, second}, func(d *testOperator) { d.meanwhile("GET", 2, testManaged, testDomain) }, "link example.test", []string{testManaged, testDomain}, "second.test was unlinked at the same time", exitFailed},

		{"unlinked", []string{testManaged, testDomain, second}, nil, "unlink example.test", []string{testManaged, second}, "Unlinked example.test: ACS refuses mail from it now. The linked domains are: AzureManagedDomain, second.test.", 0},
		{"unlinked by id, though nobody sees it", []string{testManaged, foreign + "x"}, nil, "unlink " + foreign + "X", []string{testManaged}, "Unlinked ", 0},
		{"one of another Email Service, by its name", []string{testManaged, foreign}, nil, "unlink other.test", []string{testManaged, foreign}, "posthorn domain unlink " + foreign, exitUsage},
		{"not linked", []string{testManaged, second}, nil, "unlink example.test", []string{testManaged, second}, "example.test is not linked.", 0},
		{"the last one", []string{testDomain}, nil, "unlink example.test", []string{testDomain}, "the last linked domain", exitUsage},
		{"the last one, said", []string{testDomain}, nil, "unlink example.test --yes", nil, "The linked domains are: none.", 0},
		{"others link while one is unlinked", []string{testManaged, testDomain}, func(d *testOperator) { d.meanwhile("PATCH", 1, testManaged, testDomain, second) }, "unlink example.test", []string{testManaged, second}, "second.test.", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newTestOperator(t)
			for _, id := range []string{testDomain, second, third, foreign} {
				d.has(id, azure.StatusVerified)
			}
			d.links(c.before...)
			if c.do != nil {
				c.do(d)
			}
			_, said, code := d.run(t, append([]string{"domain"}, strings.Fields(c.words)...)...)
			if code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d: %s", code, said)
			}
			if got := d.linked(t); !slices.Equal(got, c.after) && c.name != "others undo every link" {
				t.Errorf("got  %v\nwant %v", got, c.after)
			}
			d.untouched(t)
		})
	}
}

func TestTheQuotaSettingFollowsTheLinks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		linked []string
		has    string // empty: not set
		words  string
		want   string
		kept   string
		says   string
		code   int
	}{
		{"to a custom domain", []string{testManaged}, "managed-domain", "link example.test", "custom-domain", "", "restarts", 0},
		{"stopped between the two", []string{testManaged, testDomain}, "managed-domain", "link example.test", "custom-domain", "", "restarts", 0},
		{"left alone", []string{testManaged}, "managed-domain", "link example.test --keep-quota", "managed-domain", "", "stays managed-domain", 0},
		{"raised by Microsoft", []string{testManaged}, "custom", "link example.test", "custom", "custom", "Linked ", 0},
		{"not set", []string{testManaged}, "", "link example.test", "", "", "Linked ", 0},
		{"the last custom one", []string{testManaged, testDomain}, "custom-domain", "unlink example.test", "managed-domain", "managed-domain", "restarts", 0},
		{"the last custom one, not set", []string{testManaged, testDomain}, "", "unlink example.test", "managed-domain", "managed-domain", "restarts", 0},
		{"another custom one is left", []string{testManaged, testDomain, second}, "custom-domain", "unlink example.test", "custom-domain", "", "Unlinked ", 0},
		{"none is left", []string{testDomain}, "custom-domain", "unlink example.test --yes", "custom-domain", "", "Unlinked ", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newTestOperator(t)
			for _, id := range []string{testDomain, second} {
				d.has(id, azure.StatusVerified)
			}
			d.links(c.linked...)
			d.SetSettings(testSite, map[string]string{"POSTHORN_LANGUAGE": "de"})
			if c.has != "" {
				d.SetSettings(testSite, map[string]string{"POSTHORN_QUOTA": c.has, "POSTHORN_LANGUAGE": "de"})
			}
			_, said, code := d.run(t, append([]string{"domain"}, strings.Fields(c.words)...)...)
			if code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d: %s", code, said)
			}
			got, _ := d.Settings(testSite)["POSTHORN_QUOTA"].(string)
			if got != c.want || d.Settings(testSite)["POSTHORN_LANGUAGE"] != "de" || d.remembered(t, "POSTHORN_QUOTA") != c.kept {
				t.Errorf("settings %v, remembered %q", d.Settings(testSite), d.remembered(t, "POSTHORN_QUOTA"))
			}
		})
	}
}

// A link whose setting could not be changed is finished by a second run.
func TestALinkIsFinishedByASecondRun(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.has(testDomain, azure.StatusVerified)
	d.Fail("PUT", "/config/appsettings", 1, 403, "AuthorizationFailed", "does not have authorization to perform action 'Microsoft.Web/sites/config/write' over scope '"+testSite+"'.")
	_, said, code := d.run(t, "domain", "link", "example.test")
	if code != exitAway || !slices.Equal(d.linked(t), []string{testManaged, testDomain}) {
		t.Errorf("exit code %d, %v: %s", code, d.linked(t), said)
	}
	contains(t, "link", said, "POSTHORN_QUOTA is still managed-domain", "Website Contributor")
	if _, said, code = d.run(t, "domain", "link", "example.test"); code != 0 || d.Settings(testSite)["POSTHORN_QUOTA"] != "custom-domain" {
		t.Errorf("again: exit code %d, %v: %s", code, d.Settings(testSite), said)
	}
}
