package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// The owner of a deployment may not read its storage yet: the role has to be named.
func TestAMissingRoleOnStorageIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ host, role string }{
		{"acc.table.core.windows.net", "Storage Table Data Contributor"},
		{"acc.blob.core.windows.net", "Storage Blob Data Contributor"},
		{"acc.queue.core.windows.net", "Storage Queue Data Contributor"},
	} {
		var said bytes.Buffer
		con := &console{said: &said}
		code := con.failed(problem.Wrap(problem.Unavailable, "It cannot be read.", fmt.Errorf("list: %w (403): %w", store.ErrUnavailable, store.RoleError{Host: c.host})))
		want := `az role assignment create --role "` + c.role + `" --assignee YOUR-ACCOUNT --scope "$(az storage account show --name acc --query id --output tsv)"`
		if code != exitAway || !strings.Contains(said.String(), want) {
			t.Errorf("exit code %d, %s", code, &said)
		}
	}
}
