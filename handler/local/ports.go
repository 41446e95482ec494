package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// listeners are those of the parts that run in this process.
type listeners struct{ gateway, inbox, emulator, downloads, identity net.Listener }

func (l *listeners) close() {
	for _, l := range []net.Listener{l.gateway, l.inbox, l.emulator, l.downloads, l.identity} {
		if l != nil {
			l.Close()
		}
	}
}

// claim takes every address, or says which are taken and what to set, all at
// once. Those of Azurite are only looked at.
func claim(ctx context.Context, c config) (*listeners, error) {
	var l listeners
	var faults []string
	for _, a := range []struct {
		into             *net.Listener
		address, setting string
		port             int
	}{
		{&l.gateway, c.Gateway, "POSTHORN_LOCAL_GATEWAY", 0},
		{&l.inbox, c.Inbox, "POSTHORN_LOCAL_INBOX", 0},
		{&l.emulator, c.Emulator, "POSTHORN_LOCAL_EMULATOR", 0},
		{&l.downloads, c.Downloads, "POSTHORN_LOCAL_DOWNLOADS", 0},
		{&l.identity, c.Identity, "POSTHORN_LOCAL_IDENTITY", 0},
		{nil, c.port(c.BlobPort), "POSTHORN_LOCAL_BLOB_PORT", c.BlobPort},
		{nil, c.port(c.QueuePort), "POSTHORN_LOCAL_QUEUE_PORT", c.QueuePort},
		{nil, c.port(c.TablePort), "POSTHORN_LOCAL_TABLE_PORT", c.TablePort},
	} {
		got, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.address)
		switch {
		case err != nil:
			faults = append(faults, fmt.Sprintf("  %s: end the program that uses it, or choose another with %s", a.address, example(a.setting, a.address, a.port)))
		case a.into == nil:
			got.Close()
		default:
			*a.into = got
		}
	}
	if len(faults) > 0 {
		l.close()
		return nil, errors.New("these addresses cannot be used; is Posthorn running already?\n" + strings.Join(faults, "\n"))
	}
	return &l, nil
}

// example is a command that would work: the same address, 10,000 ports further.
func example(setting, address string, port int) string {
	if port > 0 {
		return fmt.Sprintf("%s=%d make run", setting, further(port))
	}
	host, p, err := net.SplitHostPort(address)
	n, notNumber := strconv.Atoi(p)
	if err != nil || notNumber != nil {
		return setting + "=127.0.0.1:PORT make run"
	}
	return fmt.Sprintf("%s=%s:%d make run", setting, host, further(n))
}

// further is another port, as long as there are ports.
func further(port int) int {
	const step, last = 10_000, 65_535
	if port+step > last {
		return port - step
	}
	return port + step
}
