package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/local/azurite"
	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/local/inbox"
)

const (
	// identityPath and identitySecret are what IDENTITY_ENDPOINT and
	// IDENTITY_HEADER say. Every program on this machine may have the
	// tokens, which only Azurite and the gateway here believe.
	identityPath   = "/msi/token"
	identitySecret = "local"
	// tokenLife is how long Azure's tokens for managed identities live.
	tokenLife = 24 * time.Hour
	// partStop is how long calls under way may take when all ends.
	partStop = 2 * time.Second
)

// serve answers on l until the returned function is called.
func serve(l net.Listener, h http.Handler, log *slog.Logger) (stop func()) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("listener failed", "address", l.Addr().String(), "error", err)
		}
	})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), partStop)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			srv.Close()
		}
		wg.Wait()
	}
}

// serveMail runs the emulator and the inbox behind it.
func serveMail(c config, l *listeners, log *slog.Logger) (stop func(), err error) {
	box, err := inbox.New(inbox.Config{Dir: c.path("inbox"), Hint: curl(c, "$(cat .local/key)"), Logger: log})
	if err != nil {
		return nil, err
	}
	api, err := emulator.New(emulator.Config{Limits: c.limits(), Deliver: box.Add, Logger: log})
	if err != nil {
		return nil, err
	}
	names := c.names()
	stopAPI, stopBox := serve(l.emulator, names.Only(api), log), serve(l.inbox, names.Only(box), log)
	return func() {
		api.Close()
		box.Close()
		stopAPI()
		stopBox()
	}, nil
}

// identity answers as Azure's endpoint for managed identities does. Source:
// learn.microsoft.com, "How to use managed identities for App Service and Azure
// Functions", section REST endpoint reference (api-version 2019-08-01). It lists the keys of the
// local tenant too.
func identity(now func() time.Time, t tenant) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /"+localTenant+"/", t)
	mux.HandleFunc("GET "+identityPath, func(w http.ResponseWriter, r *http.Request) {
		resource := r.FormValue("resource")
		switch {
		case r.Header.Get("X-Identity-Header") != identitySecret:
			http.Error(w, "X-IDENTITY-HEADER is wrong", http.StatusUnauthorized)
			return
		case r.FormValue("api-version") != "2019-08-01" || resource == "":
			http.Error(w, "api-version must be 2019-08-01, and resource be given", http.StatusBadRequest)
			return
		}
		from, until := now().Add(-time.Minute), now().Add(tokenLife)
		token, err := t.token(resource, from, until)
		if err != nil {
			http.Error(w, "the token cannot be signed", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{ //nolint:errcheck // the asker has gone
			"access_token": token,
			"expires_on":   strconv.FormatInt(until.Unix(), 10),
			"resource":     resource,
			"token_type":   "Bearer",
		})
	})
	return mux
}

// downloads passes GET, HEAD and PUT on to storage, so that a browser can follow a
// link without being asked to accept Azurite's certificate.
func downloads(c config, log *slog.Logger) (http.Handler, error) {
	transport, err := azurite.Transport(c.certFile())
	if err != nil {
		return nil, err
	}
	storage := &url.URL{Scheme: "https", Host: c.blobHost()}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(storage) },
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", proxy)
	mux.Handle("PUT /", proxy) // for uploads
	return c.names().Only(mux), nil
}

// storagePause is the wait before an Azurite that has ended is started again.
const storagePause = 5 * time.Second

// startStorage runs Azurite and, if it ends by itself, runs it again: its data is
// on disk. The returned function ends it for good.
func startStorage(ctx context.Context, c config, log *slog.Logger) (stop func(), err error) {
	here, err := filepath.Abs(azuriteFolder.modules()) // Azurite runs elsewhere
	if err != nil {
		return nil, err
	}
	start := func() (*azurite.Azurite, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return azurite.Start(ctx, azurite.Config{
			NodeModules: here, Dir: c.path("azurite"),
			BlobPort: c.BlobPort, QueuePort: c.QueuePort, TablePort: c.TablePort,
		})
	}
	storage, err := start()
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { keepStorage(life, storage, start, log) })
	return func() { end(); wg.Wait() }, nil
}

// keepStorage starts storage again whenever it ends, until life is over.
func keepStorage(life context.Context, storage *azurite.Azurite, start func() (*azurite.Azurite, error), log *slog.Logger) {
	for {
		select {
		case <-storage.Done():
		case <-life.Done():
			if err := storage.Stop(); err != nil {
				log.Error("storage did not end well", "error", err)
			}
			return
		}
		log.Warn("storage has ended by itself and is started again", "in", storagePause.String())
		for again := false; !again; {
			select {
			case <-time.After(storagePause):
			case <-life.Done():
				return
			}
			next, err := start()
			if err != nil {
				log.Error("storage does not start", "error", err)
				continue
			}
			storage, again = next, true
		}
	}
}

// openLog opens a file of .local/log anew.
func openLog(c config, name string) (*os.File, error) {
	if err := os.MkdirAll(c.path("log"), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(c.path("log/"+name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
}
