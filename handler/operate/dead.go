package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
)

type deadCommands struct {
	List  listDead  `cmd:"" help:"List dead letters: queued messages that Posthorn gave up."`
	Show  showDead  `cmd:"" help:"Show why a message was given up. Its content is not shown."`
	Retry retryDead `cmd:"" help:"Put dead letters back at the end of the queue."`
	Drop  dropDead  `cmd:"" help:"Remove dead letters, and revoke their links."`
}

// deadSelection says which dead letters are meant.
type deadSelection struct {
	IDs    []string `arg:"" optional:"" name:"id" help:"Only these messages."`
	Caller string   `placeholder:"NAME" help:"Only messages of this caller."`
	Hook   string   `placeholder:"NAME" help:"Only messages of this hook."`
	Reason string   `placeholder:"TEXT" help:"Only dead letters whose reason has this text."`
}

func (s deadSelection) empty() bool {
	return len(s.IDs) == 0 && s.Caller == "" && s.Hook == "" && s.Reason == ""
}

func (s deadSelection) wants(d *spool.DeadLetter) bool {
	return (len(s.IDs) == 0 || slices.Contains(s.IDs, d.ID)) &&
		(s.Caller == "" || s.Caller == d.Line.Caller) &&
		(s.Hook == "" || s.Hook == d.Hook) &&
		strings.Contains(strings.ToLower(d.Reason), strings.ToLower(s.Reason))
}

// dead are the dead letters that s means, the oldest first. That nothing has an id of s
// is NotFound.
func (d deployment) dead(ctx context.Context, s deadSelection) ([]spool.DeadLetter, error) {
	all, err := d.Gateway.Dead(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(l spool.DeadLetter) bool { return !s.wants(&l) })
	for _, id := range s.IDs {
		if !slices.ContainsFunc(all, func(l spool.DeadLetter) bool { return l.ID == id }) {
			return nil, problem.New(problem.NotFound, "No dead letter has the id %q, or the flags exclude it.", id)
		}
	}
	return all, nil
}

// deadRow has the same members for every dead letter.
type deadRow struct {
	ID        string    `json:"id"`
	Caller    string    `json:"caller"`
	Hook      string    `json:"hook"`
	GivenUp   time.Time `json:"givenUp"`
	KeptUntil time.Time `json:"keptUntil"`
	Tries     int       `json:"tries"`
	Bytes     int       `json:"bytes"`
	Reason    string    `json:"reason"`
}

func (r deadRow) columns() []string {
	return []string{r.ID, cmp.Or(r.Caller, "-"), cmp.Or(r.Hook, "-"), r.GivenUp.Format(time.RFC3339), strconv.Itoa(r.Tries), r.Reason}
}

func printDead(c *console, l listing, all []spool.DeadLetter) error {
	rows := make([]deadRow, len(all))
	for i, d := range all {
		rows[i] = deadRow{d.ID, d.Line.Caller, d.Hook, d.At, d.At.Add(spool.DeadLetterLife), d.Tries, d.Bytes, d.Reason}
	}
	return show(c, l, rows, "ID\tCALLER\tHOOK\tGIVEN UP\tTRIES\tREASON", deadRow.columns)
}

type listDead struct {
	deadSelection
	listing
}

func (listDead) Help() string {
	return "A dead letter is kept for two weeks.\n\n" +
		examples("posthorn dead list --caller shop", "posthorn dead list --reason deadline --json")
}

func (cmd *listDead) Run(ctx context.Context, c *console, d deployment) error {
	all, err := d.dead(ctx, cmd.deadSelection)
	if err != nil {
		return err
	}
	return printDead(c, cmd.listing, all)
}

type showDead struct {
	ID     string `arg:"" help:"The message."`
	Caller string `placeholder:"NAME" help:"Only a message of this caller. Two callers may share an id."`
}

func (showDead) Help() string {
	return examples("posthorn dead show 0f3c1b6e-52c5-4c1f-9c0e-6f1d2a7b8c9d")
}

func (cmd *showDead) Run(ctx context.Context, c *console, d deployment) error {
	all, err := d.dead(ctx, deadSelection{IDs: []string{cmd.ID}, Caller: cmd.Caller})
	if err != nil {
		return err
	}
	for i := range all {
		l := &all[i]
		message, _, err := d.Gateway.Spool.ReadDeadLetter(ctx, l)
		if err != nil && !problem.Is(err, problem.Internal) {
			return err
		}
		err = c.details(append([][2]string{
			{"id", l.ID}, {"caller", l.Line.Caller}, {"hook", l.Hook}, {"reason", l.Reason},
			{"waited since", l.Due.Format(time.RFC3339)}, {"given up", l.At.Format(time.RFC3339)}, {"kept until", l.At.Add(spool.DeadLetterLife).Format(time.RFC3339)},
			{"tries", strconv.Itoa(l.Tries)}, {"repeats after doubt", strconv.Itoa(l.Repeats)},
		}, outside(message.Message)...)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// manyDead are the flags of what is done to many dead letters.
type manyDead struct {
	deadSelection
	careful
}

// Validate wants it said which dead letters are meant.
func (m *manyDead) Validate() error {
	if m.empty() && !m.All {
		return errors.New("select dead letters by id, --caller, --hook, --reason or --all")
	}
	return nil
}

func (m *manyDead) confirmAndRun(ctx context.Context, c *console, d deployment, verb, done string, do func(context.Context, spool.DeadLetter) error) error {
	all, err := d.dead(ctx, m.deadSelection)
	if err != nil {
		return err
	}
	return confirmAndRun(ctx, c, m.careful, job[spool.DeadLetter]{
		verb: verb, done: done, none: "there is no such dead letter",
		of:         func(l spool.DeadLetter) string { return "of " + l.Line.Caller },
		list:       func(all []spool.DeadLetter) error { return printDead(c, listing{}, all) },
		do:         func(ctx context.Context, l *spool.DeadLetter) error { return do(ctx, *l) },
		skipReason: deadSkipReason,
	}, all)
}

// deadSkipReason is why a dead letter stays one; "" if the error is not its own.
func deadSkipReason(err error) string {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || p.Kind == problem.Unavailable {
		return ""
	}
	return p.Sentence()
}

type retryDead struct{ manyDead }

func (retryDead) Help() string {
	return "If ACS may have the message, ACS is asked first. Messages that their caller may no longer send stay.\n\n" +
		examples("posthorn dead retry --caller shop --dry-run", "posthorn dead retry 0f3c1b6e-52c5-4c1f-9c0e-6f1d2a7b8c9d --yes")
}

func (cmd *retryDead) Run(ctx context.Context, c *console, d deployment) error {
	return cmd.confirmAndRun(ctx, c, d, "Retry", "Put back", d.Gateway.DeadRetry)
}

type dropDead struct{ manyDead }

func (dropDead) Help() string {
	return examples("posthorn dead drop --caller shop --dry-run", "posthorn dead drop --reason deadline --yes")
}

func (cmd *dropDead) Run(ctx context.Context, c *console, d deployment) error {
	return cmd.confirmAndRun(ctx, c, d, "Drop", "Dropped", d.Gateway.DeadDrop)
}
