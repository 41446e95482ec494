package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
)

// operateDead serves the list of what waited and could not be sent.
func operateDead(ctx context.Context, g *gateway.Gateway, args []string, out io.Writer) error {
	if args[0] == "list" {
		return listDead(ctx, g, out)
	}
	if len(args) != 2 {
		return errors.New("one id is needed\n" + usage)
	}
	d, m, err := g.DeadMessage(ctx, args[1])
	if err != nil {
		return err
	}
	switch args[0] {
	case "show":
		return showDead(out, d, m)
	case "retry":
		return g.DeadRetry(ctx, d)
	case "drop":
		return g.DeadDrop(ctx, d)
	}
	return errors.New("there is no such command\n" + usage)
}

func listDead(ctx context.Context, g *gateway.Gateway, out io.Writer) error {
	all, err := g.Dead(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GIVEN UP\tCALLER\tID\tREASON")
	for _, d := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.At.Format(time.RFC3339), d.Line.Caller, d.ID, d.Reason)
	}
	return w.Flush()
}

// showDead tells enough to decide, and nothing of what the message says.
func showDead(out io.Writer, d spool.Dead, m *mail.Message) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "id\t%s\ncaller\t%s\nreason\t%s\n", d.ID, d.Line.Caller, d.Reason)
	fmt.Fprintf(w, "waited since\t%s\ngiven up\t%s\nkept until\t%s\n", d.Due.Format(time.RFC3339), d.At.Format(time.RFC3339), d.At.Add(spool.DeadLife).Format(time.RFC3339))
	fmt.Fprintf(w, "tries\t%d\nrepeats after a doubt\t%d\n", d.Tries, d.Repeats)
	if m == nil {
		fmt.Fprintln(w, "message\tlost")
		return w.Flush()
	}
	fmt.Fprintf(w, "sender\t%s\nrecipients\t%d, at %s\nattachments\t%d\nbytes\t%d\n",
		m.SenderAddress, len(m.Recipients.All()), strings.Join(m.Recipients.Domains(), ", "), len(m.Attachments), m.Bytes())
	return w.Flush()
}
