package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/sendtest"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// usageError is a mistake that shows only once the words were read.
type usageError string

func (e usageError) Error() string { return string(e) }

// settingsError says that the environment does not lead to a deployment.
type settingsError struct{ error }

func (e settingsError) Unwrap() error { return e.error }

// awayError says that nothing could be asked.
type awayError string

func (e awayError) Error() string { return string(e) }

var errNothingDone = errors.New("nothing was done")

// failed tells an error and returns its exit code. It shows the sentence for people of
// a problem, and its cause.
func (c *console) failed(err error) (code int) {
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) {
		c.tell("posthorn: interrupted")
		return exitFailed
	}
	c.tell("posthorn: %s", sentence(err))
	if f, ok := errors.AsType[*sendtest.Error](err); ok {
		if f.Advice != "" {
			c.tell("%s", f.Advice)
		}
		if f.Away {
			return exitAway
		}
		return exitFailed
	}
	_, usage := errors.AsType[usageError](err)
	_, unset := errors.AsType[settingsError](err)
	if fault, ok := errors.AsType[*azure.Error](err); ok {
		return c.failedAzure(fault)
	}
	_, away := errors.AsType[awayError](err)
	role, unentitled := errors.AsType[store.RoleError](err)
	switch {
	case usage:
		return exitUsage
	case unset:
		c.tell("Run \"posthorn connect\" to work on a deployment in Azure. For `make run` type \". .local/env\" in the project's folder.")
	case away:
		return exitAway
	case problem.Is(err, problem.NotFound), problem.Is(err, problem.Gone):
		return exitNotFound
	case errors.Is(err, store.ErrIdentity):
		c.tell("Run \"az login\". If POSTHORN_CREDENTIAL is set, it must name that login: azure-cli.")
		return exitAway
	case unentitled:
		c.tell("%s", storageRoleAdvice(role.Host))
		return exitAway
	case problem.Is(err, problem.Unavailable):
		c.tell("Check the endpoints in the settings, the network, and your roles on the storage account.")
		return exitAway
	}
	return exitFailed
}

// storageRoleAdvice is how an operator gets the right that a service of storage misses.
func storageRoleAdvice(host string) string {
	account, rest, _ := strings.Cut(host, ".")
	service, _, _ := strings.Cut(rest, ".")
	role := map[string]string{"blob": "Storage Blob Data Contributor", "queue": "Storage Queue Data Contributor"}[service]
	if role == "" {
		role = roleTables.name
	}
	return fmt.Sprintf("Your account lacks the role %q. The role works some minutes after this command:\n"+
		"az role assignment create --role %q --assignee YOUR-ACCOUNT --scope \"$(az storage account show --name %s --query id --output tsv)\"", role, role, account)
}

// failedAzure says what to do about a fault of Azure.
func (c *console) failedAzure(fault *azure.Error) (code int) {
	switch fault.Kind {
	case azure.NotFound:
		c.tell("If the resource exists, run \"posthorn connect\" again, and check \"az account show\".")
		return exitNotFound
	case azure.Login:
		c.tell("Run \"az login\", or set the variables of another credential: docs/operate.md.")
	case azure.Forbidden:
		c.tell("%s", roleAdvice(fault))
	case azure.Away:
		c.tell("Azure gave no answer, or was busy. Run the command again.")
	case azure.Conflict:
		c.tell("Another change was made at the same time, or the name is taken. Run the command again.")
		return exitFailed
	default:
		return exitFailed
	}
	return exitAway
}

func sentence(err error) string {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok {
		return err.Error()
	}
	said := []string{p.Detail}
	if inner := errors.Unwrap(p); inner != nil {
		said[0] = fmt.Sprintf("%s (%s)", p.Detail, inner)
	}
	for _, f := range p.Violations {
		said = append(said, f.Pointer+": "+f.Detail)
	}
	return strings.Join(said, "\n")
}

// mistake says what is wrong with the words, and where to look.
func mistake(e *kong.ParseError) string {
	words, verbs := "posthorn", "commands"
	node := e.Context.Selected()
	if node == nil {
		node = e.Context.Model.Node
	} else {
		words, verbs = node.FullPath(), "flags"
		if len(node.Children) > 0 {
			verbs = "verbs"
		}
	}
	said, guess, guessed := strings.Cut(e.Error(), ", did you mean ")
	said = reworded(said, strings.TrimPrefix(words, "posthorn "), node) + "."
	if guessed {
		said += " Did you mean " + guess
	}
	return fmt.Sprintf("posthorn: %s\nRun %q for all %s.", said, words+" --help", verbs)
}

// reworded makes a sentence about a command of what the parser says of its words.
func reworded(said, command string, node *kong.Node) string {
	if word, ok := strings.CutPrefix(said, "unexpected argument "); ok {
		switch {
		case node.Parent == nil:
			return fmt.Sprintf("there is no command %q", word)
		case len(node.Children) > 0:
			return fmt.Sprintf("%s has no verb %q", command, word)
		}
		return fmt.Sprintf("%s does not expect %q", command, word)
	}
	if flag, ok := strings.CutPrefix(said, "unknown flag "); ok {
		return command + " has no flag " + flag
	}
	if flags, ok := strings.CutPrefix(said, "missing flags: "); ok {
		return command + " needs " + flags
	}
	if what, ok := strings.CutPrefix(said, "expected "); ok {
		if len(node.Children) == 0 {
			return command + " needs " + what
		}
		var verbs []string
		for _, n := range node.Children {
			verbs = append(verbs, n.Name)
		}
		return command + " needs a verb: " + strings.Join(verbs, ", ")
	}
	return said
}
