package front

import (
	"net/http"
	"time"
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
	} `json:"caller"`
	Waiting struct {
		Yours int `json:"yours"`
		All   int `json:"all"`
	} `json:"waiting"`
	NextFree time.Time `json:"nextFree"`
	Expected time.Time `json:"expected"`
}

func (f *front) quota(w http.ResponseWriter, req *http.Request) error {
	proof, err := f.authenticate(w, req)
	if err != nil {
		return err
	}
	u, err := f.Gateway.Usage(req.Context(), proof.Caller)
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
	writeJSON(w, http.StatusOK, "application/json", v)
	return nil
}
