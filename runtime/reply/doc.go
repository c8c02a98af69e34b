// Package reply reads what models write: it tells reasoning, content and calls of tools apart, in the formats that chat templates teach, while the text is
// still coming. The format follows from the template itself; nothing has to be configured.
//
// Text of any form is taken: what looks like a call and is none is content. A Parser holds no more than the text since the last complete piece, and
// takes time linear in the text.
package reply
