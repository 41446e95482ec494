package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// probeRow is a probe in a list of answers.
type probeRow struct {
	ID       string    `json:"id"`
	Question string    `json:"question"`
	Answer   string    `json:"answer"`
	Means    string    `json:"means,omitempty"`
	Evidence []string  `json:"evidence,omitempty"`
	At       time.Time `json:"at"`
	Version  string    `json:"version"`
}

func answerRows(all []probe, known *probeFindings, only []string) []probeRow {
	var found []probeRow
	for _, p := range all {
		k := known.here[p.id]
		if k == nil || only != nil && !slices.Contains(only, p.id) {
			continue
		}
		r := probeRow{ID: p.id, Question: p.question, Answer: k.Answer, Means: p.outcome(k.Answer).means, Evidence: k.Evidence, At: k.At, Version: k.Version}
		if k.Typed {
			r.Evidence = append([]string{"seen by a person"}, r.Evidence...)
		}
		found = append(found, r)
	}
	return found
}

// listAnswers shows the answers of a run.
func listAnswers(c *console, all []probe, known *probeFindings, asked []string, json bool) error {
	return show(c, listing{json}, answerRows(all, known, asked), "ID\tANSWER\tMEANS", func(r probeRow) []string {
		if r.Answer == "" {
			return []string{r.ID, "-", "It has no answer yet."}
		}
		return []string{r.ID, r.Answer, r.Means}
	})
}

// reportAnswers shows all answers in Markdown, to be pasted elsewhere. It names no resource.
func reportAnswers(c *console, all []probe, known *probeFindings, json bool) error {
	found := answerRows(all, known, nil)
	if json {
		return listAnswers(c, all, known, nil, true)
	}
	fmt.Fprintln(c.out, "| probe | question | answer | evidence | when | version |\n| --- | --- | --- | --- | --- | --- |")
	cell := strings.NewReplacer("|", "\\|", "\n", " ")
	var open []string
	for _, r := range found {
		answer := r.Answer
		if answer == "" {
			answer = "none yet"
		}
		fmt.Fprintf(c.out, "| %s | %s | %s | %s | %s | %s |\n", r.ID, cell.Replace(r.Question), answer, cell.Replace(strings.Join(r.Evidence, "; ")), utcMinute(r.At), cell.Replace(r.Version))
	}
	for _, p := range all {
		if known.here[p.id] == nil {
			open = append(open, p.id)
		}
	}
	if len(open) > 0 {
		fmt.Fprintf(c.out, "\nNot asked: %s.\n", strings.Join(open, ", "))
	}
	return nil
}

// planRow is a probe in the list of what would be asked.
type planRow struct {
	ID       string `json:"id"`
	Asked    string `json:"asked"` // now, done, by hand, if named, later
	Mails    int    `json:"mails"`
	Minutes  int    `json:"minutes"`
	Touches  string `json:"touches,omitempty"`
	Question string `json:"question"`
}

// listProbes is the dry run: all probes, what each costs, and which of them would be asked now.
func listProbes(c *console, all, chosen []probe, known *probeFindings, json bool) error {
	var list []planRow
	var now []probe
	for _, p := range all {
		r := planRow{ID: p.id, Asked: "later", Mails: p.mails, Minutes: p.minutes, Touches: p.changes, Question: p.question}
		switch {
		case known.of(p.id).Answer != "":
			r.Asked = "answered"
		case p.ask == nil:
			r.Asked = "by hand"
		case p.exhausts:
			r.Asked = "--exhaust"
		case p.alone:
			r.Asked = "--only " + p.id
		case slices.ContainsFunc(chosen, func(q probe) bool { return q.id == p.id }) && (p.after == "" || p.wait <= probeSoon):
			r.Asked, now = "now", append(now, p)
		}
		list = append(list, r)
	}
	if err := show(c, listing{json}, list, "ID\tASKED\tMAILS\tMINUTES\tQUESTION", func(r planRow) []string {
		return []string{r.ID, r.Asked, strconv.Itoa(r.Mails), strconv.Itoa(r.Minutes), r.Question}
	}); err != nil {
		return err
	}
	for _, p := range all {
		if p.changes != "" {
			c.tell("%s %s.", p.id, p.changes)
		}
	}
	c.tell("This run would send up to %d mails.", mailsOf(now))
	return nil
}

// proposeSettings tells the settings that follow from the answers and are not set so.
func proposeSettings(c *console, all []probe, known *probeFindings, at connection) {
	for _, p := range all {
		name, value, follows := strings.Cut(p.outcome(known.of(p.id).Answer).setting, "=")
		if follows && value != cmp.Or(at.Settings[name], defaultOf(name)) {
			c.tell("From %s=%s follows %s=%s:\n%s", p.id, known.of(p.id).Answer, name, value, setLine(at.Site, name+"="+value))
		}
	}
}
