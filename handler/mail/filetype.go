package mail

import (
	"cmp"
	"mime"
	"slices"
	"strings"
)

// octetStream is RFC 2046 section 4.5.1's type of what is not known better.
const octetStream = "application/octet-stream"

// fileTypes are the media types of the files that people attach, by the end of
// their names; the tables of operating systems differ from one to the next.
// Source: IANA, "Media Types".
var fileTypes = map[string]string{
	"avif": "image/avif", "bmp": "image/bmp", "gif": "image/gif", "jpeg": "image/jpeg", "jpg": "image/jpeg",
	"png": "image/png", "svg": "image/svg+xml", "tif": "image/tiff", "tiff": "image/tiff", "webp": "image/webp",
	"csv": "text/csv", "htm": "text/html", "html": "text/html", "ics": "text/calendar", "log": "text/plain",
	"md": "text/markdown", "txt": "text/plain", "vcf": "text/vcard",
	"eml": "message/rfc822", "json": "application/json", "pdf": "application/pdf", "rtf": "application/rtf",
	"xml": "application/xml", "zip": "application/zip", "gz": "application/gzip",
	"doc":  "application/msword",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"ppt":  "application/vnd.ms-powerpoint",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"xls":  "application/vnd.ms-excel",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"mp3":  "audio/mpeg", "wav": "audio/wav", "mp4": "video/mp4",
}

// FileType is the media type that a file's name speaks for.
func FileType(name string) string {
	end := name[strings.LastIndexByte(name, '.')+1:]
	if t, ok := fileTypes[strings.ToLower(end)]; ok {
		return t
	}
	return octetStream
}

// fileEnd is the shortest end, with its dot, that speaks for a media type; of two
// it is the later in the alphabet, .txt before .log. It is empty if none does.
func fileEnd(contentType string) string {
	essence, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	var ends []string
	for end, t := range fileTypes {
		if t == essence {
			ends = append(ends, "."+end)
		}
	}
	if len(ends) == 0 {
		return ""
	}
	return slices.MinFunc(ends, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(b, a)) })
}
