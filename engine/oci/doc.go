// Package oci keeps plans in OCI registries and in directories of the OCI image layout: how a plan is divided into layers, how these are sent, fetched and put together
// again, and the cache that plans are served from.
package oci
