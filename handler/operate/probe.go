package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// probeCommand asks Azure what its documentation does not say. `posthorn doctor --probe`
// is the same.
type probeCommand struct {
	Only    []string `placeholder:"ID" help:"Ask only these, such as P2,P8."`
	To      []string `placeholder:"ADDRESS" help:"Your own mailbox. May be repeated."`
	Sender  string   `placeholder:"ADDRESS" help:"Sender address of a linked domain."`
	DryRun  bool     `help:"List the questions and their cost."`
	Yes     bool     `help:"Do not ask for confirmation."`
	Exhaust bool     `help:"Allow P8, which uses the hourly sending quota."`
	Again   bool     `help:"Ask answered questions again."`
	Answer  []string `placeholder:"ID=WORD" help:"Record an answer that you saw yourself."`
	Report  bool     `help:"Print all answers as Markdown."`
	JSON    bool     `name:"json" help:"Print JSON instead of a table."`
}

func (probeCommand) Help() string {
	return examples("posthorn doctor --probe --dry-run",
		"posthorn doctor --probe --sender donotreply@example.com --to ann@example.com",
		"posthorn doctor --probe --answer P2.mails=one", "posthorn doctor --probe --report")
}

// probing lets `posthorn doctor --probe` stand for `posthorn probe`, whose flags it has.
func probing(args []string) []string {
	at := slices.Index(args, "--probe")
	if len(args) == 0 || args[0] != "doctor" || at < 0 {
		return args
	}
	return append([]string{"probe"}, slices.Delete(slices.Clone(args), at, at+1)[1:]...)
}

// probeSoon is how long a run waits for a question that falls due.
const probeSoon = 90 * time.Second

// Run asks, notes or reports.
func (cmd *probeCommand) Run(ctx context.Context, c *console, at cloud) error {
	all := probes()
	only, err := cmd.named(all)
	if err != nil {
		return err
	}
	known, err := c.openFindings(at.at.Service)
	if err != nil {
		return err
	}
	for _, answer := range cmd.Answer {
		if err := known.note(all, answer, c.now()); err != nil {
			return err
		}
	}
	switch {
	case cmd.Report:
		err = reportAnswers(c, all, known, cmd.JSON)
		proposeSettings(c, all, known, at.at)
		return err
	case len(cmd.Answer) > 0:
		c.tell("Noted. \"posthorn doctor --probe --report\" prints all answers.")
		proposeSettings(c, all, known, at.at)
		return nil
	}
	chosen := cmd.choose(c, only, known)
	if cmd.DryRun {
		return listProbes(c, all, chosen, known, cmd.JSON)
	}
	return cmd.ask(ctx, c, at, chosen, known)
}

// named are the probes of --only and what goes on from them, or all.
func (cmd *probeCommand) named(all []probe) ([]probe, error) {
	if len(cmd.Only) == 0 {
		return all, nil
	}
	var found []probe
	for _, word := range cmd.Only {
		before := len(found)
		for _, p := range all {
			if strings.EqualFold(p.id, word) || !p.alone && strings.HasPrefix(p.id, strings.ToUpper(word)+".") {
				found = append(found, p)
			}
		}
		if len(found) == before {
			return nil, usageError(fmt.Sprintf("there is no probe %q; \"posthorn doctor --probe --dry-run\" lists them", word))
		}
	}
	for _, p := range found {
		switch {
		case cmd.DryRun:
		case p.exhausts && !cmd.Exhaust:
			return nil, usageError(p.id + " uses the deployment's hourly sending quota: add --exhaust")
		case p.ask != nil && p.to > 0 && cmd.lacks(p):
			return nil, usageError(p.wants())
		}
	}
	return found, nil
}

// lacks tells whether a probe needs addresses that were not given.
func (cmd *probeCommand) lacks(p probe) bool {
	return p.to > 0 && (cmd.Sender == "" || len(cmd.To) < p.to)
}

// choose leaves out what has its answer, cannot be asked yet, or lacks an address.
func (cmd *probeCommand) choose(c *console, from []probe, known *probeFindings) []probe {
	var chosen []probe
	for _, p := range from {
		due, begun := known.due(p)
		named := len(cmd.Only) > 0
		comes := slices.ContainsFunc(chosen, func(q probe) bool { return q.id == p.after })
		switch {
		case p.ask == nil && named && begun && !comes && !cmd.DryRun && known.of(p.id).Answer == "":
			c.tell("%s is for you: %s\n  %s", p.id, p.question, p.steps)
		case p.ask == nil, p.alone && !named, p.exhausts && !cmd.Exhaust && !cmd.DryRun,
			known.of(p.id).Answer != "" && !cmd.Again:
		case !begun && !comes:
		case begun && c.now().Add(probeSoon).Before(due): // it is told at the end
		case cmd.lacks(p) && !cmd.DryRun:
			c.tell("%s is skipped: %s", p.id, p.wants())
		default:
			chosen = append(chosen, p)
		}
	}
	slices.SortStableFunc(chosen, func(a, b probe) int { return a.order() - b.order() })
	return chosen
}

// ask has the owner's word, and asks one after the other.
func (cmd *probeCommand) ask(ctx context.Context, c *console, at cloud, chosen []probe, known *probeFindings) error {
	a := &probeRun{c: c, cloud: at, sender: cmd.Sender, to: cmd.To, known: known}
	if err := a.open(ctx); err != nil {
		return err
	}
	if price := priceOf(chosen); price != "" {
		if err := c.confirm(cmd.Yes, price); err != nil {
			return err
		}
	}
	var asked []string
	err := a.clear(ctx)
	for _, p := range chosen {
		if err != nil {
			break
		}
		due, begun := known.due(p)
		if !begun || due.Sub(c.now()) > probeSoon {
			continue // what it goes on from failed, or it is for another day
		}
		asked = append(asked, p.id)
		err = a.one(ctx, p, due)
	}
	if len(asked) == 0 && err == nil {
		c.tell("Nothing is asked now. \"posthorn doctor --probe --report\" prints all answers.")
	} else if len(asked) > 0 {
		if shown := listAnswers(c, probes(), known, asked, cmd.JSON); err == nil {
			err = shown
		}
	}
	if err == nil {
		a.people(asked)
	}
	proposeSettings(c, probes(), known, at.at)
	tellLater(c, known)
	if err == nil {
		err = a.failed
	}
	return err
}

// tellLater tells what goes on another time.
func tellLater(c *console, known *probeFindings) {
	var open []string
	for _, p := range probes() {
		if due, begun := known.due(p); p.ask != nil && p.after != "" && begun && known.of(p.id).Answer == "" && !p.alone {
			open = append(open, p.id+" at "+utcMinute(due))
		}
	}
	if len(open) > 0 {
		c.tell("Due later: %s. Run \"posthorn doctor --probe\" with the same --sender and --to then.", strings.Join(open, ", "))
	}
}

// priceOf is what the owner says yes to; empty if nothing is sent or changed.
func priceOf(chosen []probe) string {
	mails, minutes := mailsOf(chosen), 0
	var changes []string
	for _, p := range chosen {
		minutes += p.minutes
		if p.changes != "" && !slices.Contains(changes, p.changes) {
			changes = append(changes, p.changes)
		}
	}
	if mails == 0 && len(changes) == 0 {
		return ""
	}
	said := []string{fmt.Sprintf("This sends up to %d mails and takes up to %d minutes.", mails, minutes)}
	for _, t := range changes {
		said = append(said, "It "+t+".")
	}
	return strings.Join(said, " ")
}

func mailsOf(chosen []probe) (n int) {
	for _, p := range chosen {
		n += p.mails
	}
	return n
}

// utcMinute is a time as people read it here.
func utcMinute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
