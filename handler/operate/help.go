package main

import (
	"bytes"
	"io"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// helpLines and helpColumns are a terminal that nobody has to scroll.
const (
	helpLines   = 24
	helpColumns = 80
)

var (
	// needless are lines that the usage above them says already, or that are empty inside
	// of a section.
	needless = regexp.MustCompile(`(?m)^Arguments:\n  <name> +The \w+\.\n\n`)
	gaps     = regexp.MustCompile(`(?m)^(Examples:|  -h, --help .*)\n\n`)
)

// brief prints help that fits a terminal. Flags that are rarely needed are hidden from the
// list, and named together behind it.
func brief(options kong.HelpOptions, ctx *kong.Context) error {
	out := ctx.Stdout
	var text bytes.Buffer
	ctx.Stdout = &text
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Stdout = out
	if err != nil {
		return err
	}
	short := gaps.ReplaceAllString(needless.ReplaceAllString(text.String(), ""), "$1\n")
	_, err = io.WriteString(out, short+further(ctx.Selected()))
	return err
}

// further names the flags that are not in the list.
func further(command *kong.Node) string {
	if command == nil {
		return ""
	}
	line, text := "Also:", ""
	for _, f := range command.Flags {
		if !f.Hidden {
			continue
		}
		word := " --" + f.Name + "=" + f.PlaceHolder
		if len(line)+len(word) > helpColumns {
			line, text = "     ", text+line+"\n"
		}
		line += word
	}
	if strings.TrimSpace(line) == "Also:" {
		return ""
	}
	return text + line + "\n"
}
