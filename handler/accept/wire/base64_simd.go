//go:build !purego

package wire

import "github.com/segmentio/asm/base64"

// manyQuanta decodes strict Base64 with vector instructions where the processor
// has them: AVX2 on amd64, NEON on arm64. What they leave, the padded end
// included, is encoding/base64's.
var manyQuanta = base64.StdEncoding.Strict()
