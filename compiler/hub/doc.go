// Package hub brings repositories of the HuggingFace Hub, or of a mirror that speaks its HTTP, onto this machine: the files that a build reads
// and no others, at one commit, into the cache that the Hub's own Python client uses.
//
// The cache is DIR/models--org--name with blobs/ETAG (the contents, named by their hash), snapshots/COMMIT/NAME (links to blobs) and refs/REVISION (the
// commit that a branch or tag was last seen at). A blob gets its name when its hash was found right, and a snapshot its links when all its blobs are there.
// What is being downloaded is blobs/ETAG.llmc.incomplete, full of holes, beside a list of the pieces that are there, under the lock that the
// Python client takes for that blob.
//
// The server is not trusted: names, sizes, counts and redirects are checked, answers are bounded, and the token goes to the endpoint alone.
package hub
