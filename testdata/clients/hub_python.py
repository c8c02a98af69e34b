"""Uses the cache of HF_HUB_CACHE and the Hub of HF_ENDPOINT through the huggingface_hub package, as transformers would.

hub_python.py REPO download            downloads everything and prints the snapshot's directory
hub_python.py REPO files NAME...       prints, for each file, where it is and the SHA-256 of its contents
hub_python.py REPO scan                prints what the package finds in the cache
"""

import hashlib
import json
import sys

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download


def main():
    repo, command, *names = sys.argv[1:]
    if command == "download":
        print(json.dumps(snapshot_download(repo)))
    elif command == "files":
        found = {}
        for name in names:
            path = hf_hub_download(repo, name)
            with open(path, "rb") as f:
                found[name] = [path, hashlib.sha256(f.read()).hexdigest()]
        print(json.dumps(found))
    elif command == "scan":
        info = scan_cache_dir()
        print(json.dumps({
            "warnings": [str(w) for w in info.warnings],
            "repos": {r.repo_id: {rev.commit_hash: [sorted(rev.refs), sorted(f.file_name for f in rev.files)] for rev in r.revisions} for r in info.repos},
            "incomplete": len(getattr(info, "incomplete_files", ())),
        }))


main()
