package rest

import (
	"net/http"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// quotaView is what a caller may know of the quota of its domains.
type quotaView struct {
	Domain string `json:"domain"` // the kind that the ledger is of
	ledgerView
	Caller struct {
		Name         string `json:"name"`
		SharePercent int    `json:"sharePercent"`
		CapPercent   int    `json:"capPercent"`
		UsedThisHour int    `json:"usedThisHour"`
		Paused       *pause `json:"paused,omitempty"`
	} `json:"caller"`
	Paused *pause `json:"paused,omitempty"` // all sending
	// ManagedDomain is the quota of the Azure-managed domain, if the caller sends from it
	// beside other domains.
	ManagedDomain *managedView `json:"managedDomain,omitempty"`
}

type managedView struct {
	ledgerView
	UsedThisHour int `json:"usedThisHour"`
}

// ledgerView is the quota of one kind of domain.
type ledgerView struct {
	Limits struct {
		PerMinute int `json:"perMinute"`
		PerHour   int `json:"perHour"`
	} `json:"limits"`
	Remaining struct {
		Minute int `json:"minute"`
		Hour   int `json:"hour"`
	} `json:"remaining"`
	Waiting struct {
		Yours int `json:"yours"`
		All   int `json:"all"`
	} `json:"waiting"`
	NextFree time.Time `json:"nextFree"`
	Expected time.Time `json:"expected"`
}

func newLedgerView(u quota.Overview) (v ledgerView) {
	v.Limits.PerMinute, v.Limits.PerHour = u.Limits.PerMinute, u.Limits.PerHour
	v.Remaining.Minute, v.Remaining.Hour = u.RemainingMinute, u.RemainingHour
	v.Waiting.Yours, v.Waiting.All = u.WaitingOwn, u.WaitingAll
	v.NextFree, v.Expected = u.Next, u.Expected
	return v
}

// pause is the operator's word that nothing leaves, and how many messages wait for its end.
type pause struct {
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	Refuses bool      `json:"refuses"`
	Waiting int       `json:"waiting"`
}

func newPause(p *problem.Pause, waiting int) *pause {
	if p == nil {
		return nil
	}
	return &pause{p.Reason, p.Since, p.Refuse, waiting}
}

func (a *api) quota(w http.ResponseWriter, req *http.Request) error {
	proof, err := a.authenticate(w, req)
	if err != nil {
		return err
	}
	domain, both := a.Gateway.DomainsOf(proof.Caller)
	u, err := a.Gateway.Usage(req.Context(), domain, proof.Caller)
	if err != nil {
		return err
	}
	v := quotaView{Domain: domain.String(), ledgerView: newLedgerView(u)}
	v.Caller.Name, v.Caller.SharePercent, v.Caller.CapPercent = proof.Caller.Name, proof.Caller.Policy.Share, proof.Caller.Policy.Cap
	v.Caller.UsedThisHour = u.Used
	waitingOwn, waitingAll := u.WaitingOwn+u.HeldOwn, u.WaitingAll+u.HeldAll
	if both {
		m, err := a.Gateway.Usage(req.Context(), mail.ManagedDomain, proof.Caller)
		if err != nil {
			return err
		}
		v.ManagedDomain = &managedView{newLedgerView(m), m.Used}
		waitingOwn, waitingAll = waitingOwn+m.WaitingOwn+m.HeldOwn, waitingAll+m.WaitingAll+m.HeldAll
	}
	v.Paused, v.Caller.Paused = newPause(u.Pause, waitingAll), newPause(proof.Caller.Pause, waitingOwn)
	writeJSON(w, http.StatusOK, "application/json", v)
	return nil
}
