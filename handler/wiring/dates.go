package wiring

import (
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/posthorn/posthorn/handler/store/clock"
)

// dates lets each answer of tables tell the time, lists of callers included: so the first
// message of a process makes no request to learn it.
type dates struct{ clock *clock.Clock }

func (d dates) Do(req *policy.Request) (*http.Response, error) {
	asked := d.clock.Local()
	res, err := req.Next()
	if err != nil {
		return res, err
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		d.clock.Observe(date, asked)
	}
	return res, nil
}
