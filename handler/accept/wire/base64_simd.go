//go:build !purego

package wire

import "github.com/emmansun/base64"

// manyQuanta decodes strict Base64 with vector instructions where the processor
// has them: AVX2, AVX or SSE on amd64, NEON on arm64.
var manyQuanta = base64.StdEncoding.Strict()
