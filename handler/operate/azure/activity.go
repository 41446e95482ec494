package azure

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const versionActivity = "2015-04-01"

// VerificationsBegun are the times at which somebody had a domain verified, of any kind,
// since a time; the activity log keeps 90 days, and shows an event some minutes late.
// Source: learn.microsoft.com/rest/api/monitor/activity-logs/list.
func (c *Client) VerificationsBegun(ctx context.Context, domain ID, since time.Time) ([]time.Time, error) {
	type event struct {
		At        time.Time `json:"eventTimestamp"`
		Operation struct {
			Value string `json:"value"`
		} `json:"operationName"`
	}
	events, err := list[event](ctx, c, request{
		what: "read the activity log of " + domain.Name(), version: versionActivity,
		path: "/subscriptions/" + domain.Subscription() + "/providers/Microsoft.Insights/eventtypes/management/values",
		query: map[string]string{
			"$filter": fmt.Sprintf("eventTimestamp ge '%s' and resourceUri eq '%s'", since.UTC().Format(time.RFC3339), domain),
			"$select": "eventTimestamp,operationName",
		},
	})
	var begun []time.Time
	for _, e := range events {
		if strings.HasSuffix(strings.ToLower(e.Operation.Value), "/initiateverification/action") {
			begun = append(begun, e.At)
		}
	}
	return begun, err
}
