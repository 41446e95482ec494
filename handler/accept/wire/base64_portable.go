//go:build purego

package wire

import "encoding/base64"

// manyQuanta decodes strict Base64, without vector instructions.
var manyQuanta = base64.StdEncoding.Strict()
