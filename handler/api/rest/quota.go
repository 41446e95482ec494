package rest

import (
	"net/http"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// quotaView is what a caller may know of the quota.
type quotaView struct {
	Limits struct {
		PerMinute int `json:"perMinute"`
		PerHour   int `json:"perHour"`
	} `json:"limits"`
	Remaining struct {
		Minute int `json:"minute"`
		Hour   int `json:"hour"`
	} `json:"remaining"`
	Caller struct {
		Name         string `json:"name"`
		SharePercent int    `json:"sharePercent"`
		CapPercent   int    `json:"capPercent"`
		UsedThisHour int    `json:"usedThisHour"`
		Paused       *pause `json:"paused,omitempty"`
	} `json:"caller"`
	Waiting struct {
		Yours int `json:"yours"`
		All   int `json:"all"`
	} `json:"waiting"`
	NextFree time.Time `json:"nextFree"`
	Expected time.Time `json:"expected"`
	Paused   *pause    `json:"paused,omitempty"` // all sending
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
	u, err := a.Gateway.Usage(req.Context(), proof.Caller)
	if err != nil {
		return err
	}
	var v quotaView
	v.Limits.PerMinute, v.Limits.PerHour = u.Limits.PerMinute, u.Limits.PerHour
	v.Remaining.Minute, v.Remaining.Hour = u.RemainingMinute, u.RemainingHour
	v.Caller.Name, v.Caller.SharePercent, v.Caller.CapPercent = proof.Caller.Name, proof.Caller.Policy.Share, proof.Caller.Policy.Cap
	v.Caller.UsedThisHour = u.Used
	v.Waiting.Yours, v.Waiting.All = u.WaitingOwn, u.WaitingAll
	v.NextFree, v.Expected = u.Next, u.Expected
	v.Paused = newPause(u.Pause, u.WaitingAll+u.HeldAll)
	v.Caller.Paused = newPause(proof.Caller.Pause, u.WaitingOwn+u.HeldOwn)
	writeJSON(w, http.StatusOK, "application/json", v)
	return nil
}
