package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
)

type exportCallers struct{}

func (exportCallers) Help() string {
	return "The export has policies and the numbers of valid keys. It has no secret.\n\n" + examples("posthorn callers export > callers.json")
}

func (exportCallers) Run(ctx context.Context, c *console, d keyed) error {
	_, err := d.Callers.Export(ctx, c.out)
	return err
}

type exportHooks struct{}

func (exportHooks) Help() string {
	return "The export has policies and templates. It has no secret.\n\n" + examples("posthorn hooks export > hooks.json")
}

func (exportHooks) Run(ctx context.Context, c *console, d keyed) error {
	hooks, err := d.Hooks.Export(ctx, c.out)
	if err != nil {
		return err
	}
	for _, h := range hooks {
		if h.Dictated {
			c.tell("The secret of %s is not exported. After the import, set it with \"posthorn hooks rotate %s --secret-file FILE\".", h.Name, h.Name)
		}
	}
	return nil
}

// importing are the words of both imports.
type importing struct {
	File    string `arg:"" help:"File that export wrote, or - for standard input."`
	Replace bool   `help:"Replace policies that differ."`
	DryRun  bool   `help:"Say what would change, and change nothing."`
	listing
}

func (importing) Help(kind string) string {
	return "Existing keys stay valid. The import may be repeated.\n\n" +
		examples("posthorn "+kind+" import "+kind+".json --dry-run", "posthorn "+kind+" import - --replace < "+kind+".json")
}

// document opens what is to be taken over.
func (i importing) document(c *console) (io.ReadCloser, error) {
	if i.File == "-" {
		return io.NopCloser(c.in), nil
	}
	return os.Open(i.File)
}

// take reads a document and takes its entries over.
func take[T any, P keyring.Held[T]](ctx context.Context, c *console, i importing, k *keyring.Keyring[T, P], kind, newKeys string, allowed func(T) error) error {
	file, err := i.document(c)
	if err != nil {
		return err
	}
	defer file.Close()
	document, err := k.ReadDocument(file)
	if err != nil {
		return err
	}
	results, err := k.Import(ctx, document.Entries, keyring.Options{Replace: i.Replace, DryRun: i.DryRun}, allowed)
	if shown := show(c, i.listing, results, "NAME\tRESULT\tNOTE", columnsOf); err == nil {
		err = shown
	}
	counts := map[keyring.Outcome]int{}
	for _, r := range results {
		counts[r.Outcome]++
	}
	if err != nil {
		c.tell("Processed %d of %d entries. Run the same command again for the rest.", len(results), len(document.Entries))
		return err
	}
	c.tell("%s", summary(counts, i.DryRun))
	if counts[keyring.Created] > 0 && !k.SameKeys(document) {
		c.tell("This deployment has another master key. Keys of the old deployment do not work here. %s", newKeys)
	}
	if n := counts[keyring.Refused]; n > 0 {
		return fmt.Errorf("refused %d of %d %s; the list says why", n, len(results), kind)
	}
	return nil
}

func columnsOf(r keyring.Result) []string {
	return []string{r.Name, string(r.Outcome), wordOrDash(r.Note)}
}

func wordOrDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func summary(counts map[keyring.Outcome]int, dry bool) string {
	var parts []string
	for _, o := range []keyring.Outcome{keyring.Created, keyring.Changed, keyring.Unchanged, keyring.Refused} {
		parts = append(parts, fmt.Sprintf("%s %d", o, counts[o]))
	}
	text := strings.Join(parts, ", ") + "."
	if dry {
		return "The import would give: " + text + " Nothing was done."
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

type importCallers struct{ importing }

func (i importCallers) Help() string { return i.importing.Help("callers") }

func (i *importCallers) Run(ctx context.Context, c *console, d keyed) error {
	return take(ctx, c, i.importing, d.Callers.Keyring, "callers", `Make new ones with "posthorn callers rotate NAME".`, nil)
}

type importHooks struct{ importing }

func (i importHooks) Help() string { return i.importing.Help("hooks") }

func (i *importHooks) Run(ctx context.Context, c *console, d keyed) error {
	return take(ctx, c, i.importing, d.Hooks.Keyring, "hooks", `"posthorn hooks show NAME" prints the new address.`,
		func(h hook.Hook) error { return allowed(ctx, d.Callers, h.Policy) })
}
