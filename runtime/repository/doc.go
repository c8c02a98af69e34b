// Package repository has models come and go: it reads a model repository in Triton's layout, DIR/MODEL/VERSION/model.plan with an optional DIR/MODEL/config.pbtxt,
// says which versions of a model are to be served, has them loaded within the memory that all models share, and puts them in place of those that are served, at once.
// Plans that the command line names come the same way.
//
// It must not know how a plan is loaded (Loader), nor how requests find a model (Offers).
package repository
