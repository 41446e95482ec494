package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

type verifyDomain struct {
	domainName
	resolving
	Wait    time.Duration `default:"30m" help:"Longest time to wait in total."`
	SkipDNS bool          `name:"skip-dns" help:"Ask ACS without a check of DNS."`
	DryRun  bool          `help:"Say what ACS would be asked, and do not ask."`
}

func (verifyDomain) Help() string {
	return "You may stop the command and run it again: what ACS has verified stays. The command\ndoes not wait for DMARC.\n\n" +
		examples("posthorn domain verify example.com", "posthorn domain verify example.com --wait 2h")
}

const (
	// askEvery is how often a domain is read while ACS verifies it.
	askEvery = 30 * time.Second
	// sayEvery is how often it is told that nothing has changed.
	sayEvery = 5 * time.Minute
	// freshDNS is how long the answers of DNS count.
	freshDNS = time.Minute
	// stuckAfter is when Microsoft's support may be asked. DNS takes a day at most.
	stuckAfter = 24 * time.Hour
	// longestLook is how far back the activity log is read; it keeps 90 days.
	longestLook = 30 * 24 * time.Hour
)

// verification is one run of the command.
type verification struct {
	*verifyDomain
	*console
	cloud
	domain  azure.Domain
	until   time.Time
	report  dns.Report
	checked time.Time // when report was made
}

func (cmd *verifyDomain) Run(ctx context.Context, c *console, cl cloud) error {
	d, err := cmd.own(ctx, cl)
	if err != nil {
		return err
	}
	v := &verification{verifyDomain: cmd, console: c, cloud: cl, domain: d, until: c.now().Add(cmd.Wait)}
	for _, kind := range azure.Verifications() {
		done, err := v.one(ctx, kind)
		if err != nil {
			return err
		}
		if !done && kind == azure.VerifyDomain && !cmd.DryRun {
			v.others()
			break // ACS verifies nothing else before
		}
	}
	left := unverified(v.domain)
	switch {
	case cmd.DryRun:
		return nil
	case len(left) > 0:
		return fmt.Errorf("ACS has not verified %s of %s yet. Run \"posthorn domain verify %s\" again: what ACS has verified stays", strings.Join(left, ", "), d.ID.Name(), word(string(cmd.Name)))
	}
	linked, err := cl.linked(ctx, d.ID)
	if err != nil {
		return err
	}
	c.tell("%s is verified. %s", d.ID.Name(), nextStep(v.domain, cmd.Name, linked))
	return nil
}

// unverified are the kinds that a domain lacks.
func unverified(d azure.Domain) (kinds []string) {
	for _, kind := range azure.Verifications() {
		if d.Properties.States[kind].Status != azure.StatusVerified {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func (v *verification) state(kind string) azure.VerificationState {
	return v.domain.Properties.States[kind]
}

// isFailed tells a verification that has ended without success. An error code under a
// status that is not known is one too.
func isFailed(s azure.VerificationState) bool {
	return s.Status == azure.StatusFailed || s.ErrorCode != "" && !slices.Contains([]string{azure.StatusVerified, azure.StatusNotStarted, "VerificationRequested", "VerificationInProgress"}, s.Status)
}

// one has ACS verify one kind, and tells whether it has. It begins what is not under way.
func (v *verification) one(ctx context.Context, kind string) (done bool, err error) {
	state := v.state(kind)
	switch {
	case state.Status == azure.StatusVerified:
		v.tell("%s: verified.", kind)
		return true, nil
	case state.Status != "" && state.Status != azure.StatusNotStarted && !isFailed(state):
		v.tell("%s: a verification is in progress (%s).", kind, state.Status)
		if v.DryRun {
			return false, nil
		}
		return v.wait(ctx, kind, false)
	case isFailed(state):
		v.tell("%s: the last verification failed%s.", kind, errorCode(state))
	}
	if ready, err := v.ready(ctx, kind); err != nil || !ready {
		return false, err
	}
	if v.DryRun {
		v.tell("%s: ACS would be asked to verify it.", kind)
		return false, nil
	}
	// A conflict says that another one is under way.
	if err := v.StartVerification(ctx, v.domain.ID, kind); err != nil && !azure.IsKind(err, azure.Conflict) {
		return false, err
	}
	v.tell("%s: asked ACS to verify it.", kind)
	return v.wait(ctx, kind, true)
}

// ready asks the authoritative servers, and tells what ACS would not find.
func (v *verification) ready(ctx context.Context, kind string) (bool, error) {
	if v.SkipDNS {
		return true, nil
	}
	if err := v.look(ctx); err != nil {
		return false, err
	}
	ready, why := v.report.Ready(dns.Kind(kind))
	if ready {
		return true, nil
	}
	v.tell("%s: ACS is not asked yet.", kind)
	v.found(v.report, kind, why)
	if kind == azure.VerifySPF {
		v.spfSteps(v.domain, v.report)
	} else if r := recordOf(v.domain, kind); r.Value != "" {
		v.tell("  Every name server must have: %s %s %s", r.Name, r.Type, r.Value)
	}
	if !v.report.Asked() {
		v.tell("If this network blocks DNS, add --skip-dns.")
	}
	return false, nil
}

// others tells what else DNS lacks, so that all of it can be mended at once.
func (v *verification) others() {
	for _, kind := range unverified(v.domain)[1:] {
		if ready, why := v.report.Ready(dns.Kind(kind)); !ready && v.report.Asked() {
			v.tell("%s: the record in DNS is also wrong. %s", kind, why)
		}
	}
}

// look asks the DNS, unless it has just done so.
func (v *verification) look(ctx context.Context) (err error) {
	if v.checked.IsZero() || v.now().Sub(v.checked) >= freshDNS {
		v.report, err = v.ask(ctx, v.console, v.domain)
		v.checked = v.now()
	}
	return err
}

// wait reads the domain until ACS has an outcome or the time is over. Ours tells whether
// this run has begun the verification, which may show a moment later.
func (v *verification) wait(ctx context.Context, kind string, ours bool) (done bool, err error) {
	began, told, last := v.now(), v.now(), v.state(kind).Status
	for v.now().Before(v.until) {
		if err := v.sleep(ctx, min(askEvery, v.until.Sub(v.now()))); err != nil {
			return false, err
		}
		d, err := v.Domain(ctx, v.domain.ID)
		if azure.IsKind(err, azure.Away) {
			continue // it has been waited for long enough to bear that
		}
		if err != nil {
			return false, err
		}
		v.domain.Properties = d.Properties
		passed := v.now().Sub(began)
		switch state := v.state(kind); {
		case state.Status == azure.StatusVerified:
			v.tell("%s: verified after %s.", kind, passed)
			if kind == azure.VerifySPF {
				v.spfReturn(v.domain.ID.Name(), spfIn(v.report))
			}
			return true, nil
		case isFailed(state):
			v.tell("%s: ACS could not verify it%s.", kind, errorCode(state))
			return false, v.blame(ctx, kind, began)
		case !ours && state.Status == azure.StatusNotStarted:
			v.tell("%s: the verification was cancelled.", kind)
			return false, nil
		case state.Status != last || v.now().Sub(told) >= sayEvery:
			v.tell("%s: %s after %s. Waiting until %s.", kind, state.Status, passed, v.until.Format("15:04 MST"))
			last, told = state.Status, v.now()
		}
	}
	v.tell("%s: %s after %s.", kind, cmp.Or(v.state(kind).Status, "no state"), v.now().Sub(began))
	return false, v.blame(ctx, kind, began)
}

// errorCode is what Azure calls the fault.
func errorCode(s azure.VerificationState) string {
	if s.ErrorCode == "" {
		return ""
	}
	return " (" + s.ErrorCode + ")"
}

// blame shows what DNS says of a kind that ACS did not verify, and what to do.
func (v *verification) blame(ctx context.Context, kind string, began time.Time) error {
	if v.SkipDNS {
		return nil
	}
	if err := v.look(ctx); err != nil {
		return err
	}
	v.tell("The name servers now answer:")
	v.found(v.report, kind, "")
	if ready, _ := v.report.Ready(dns.Kind(kind)); !ready {
		return nil
	}
	v.tell("The record is right at every server. ACS may need half an hour to see a change.")
	since, err := v.first(ctx, began)
	if err == nil && v.now().Sub(since) > stuckAfter {
		v.support(kind, since)
	}
	return err
}

// support writes a text for Microsoft, whose customers cannot end such a state.
func (v *verification) support(kind string, since time.Time) {
	v.tell("The state has not changed for more than a day. Microsoft's support can reset it. A text for the request:")
	state, r := v.state(kind), recordOf(v.domain, kind)
	fmt.Fprintf(v.out, "Azure Communication Services, Email: the verification of %s does not end.\n\nResource: %s\nState: %s%s\nTried since: %s\nRecord: %s %s %s\n\nEvery authoritative name server answers with the record, as of %s:\n",
		kind, v.domain.ID, state.Status, errorCode(state), since.UTC().Format(time.RFC3339), r.Name, r.Type, r.Value, v.checked.UTC().Format(time.RFC3339))
	for _, f := range v.report.Findings {
		for _, e := range f.Evidence {
			if f.Kind == dns.Kind(kind) {
				fmt.Fprintf(v.out, "  %s: %s\n", e.Server, e.Answer)
			}
		}
	}
	fmt.Fprintln(v.out, "\nPlease reset the verification, or say which record is missing.")
}

// first is when somebody first had the domain verified, as the activity log says it. An
// account that may not read the log sees when the domain was made.
func (v *verification) first(ctx context.Context, began time.Time) (time.Time, error) {
	times, err := v.VerificationsBegun(ctx, v.domain.ID, v.now().Add(-longestLook))
	if made := v.domain.SystemData.CreatedAt; err != nil && !made.IsZero() {
		times = []time.Time{made}
	}
	return slices.MinFunc(append(times, began), time.Time.Compare), ctx.Err()
}
