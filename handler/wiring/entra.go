package wiring

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller/entra"
	"github.com/posthorn/posthorn/handler/settings"
)

// tokens verifies tokens of the deployment's tenant. The issuer's keys come from
// just one address, so a redirect is not followed.
func tokens(s settings.Settings, log *slog.Logger) *entra.Verifier {
	return entra.New(entra.Config{
		Tenant: s.EntraTenant, Audiences: s.EntraAudience, Authority: s.EntraAuthority,
		Client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Now:    time.Now, Log: log,
	})
}
