import Core
import Files
import Glibc
import Testing

@Suite struct FilesErrorTests {
    @Test(
        "a system call's failure has a stable code",
        arguments: [
            (ENOENT, "files.not_found"), (EEXIST, "files.exists"), (EACCES, "files.permission"),
            (ENOSPC, "files.disk_full"), (EFBIG, "files.disk_full"), (EISDIR, "files.is_directory"),
            (EIO, "files.system"),
        ])
    func codes(number: Int32, code: String) {
        let error = FilesError.system("open", "/x", errno: number)
        #expect(error.code == code && !error.isFatal)
        #expect(error.message.contains("/x") && !error.remedy.isEmpty)
    }

    @Test("only a failed fsync is fatal, and so is what it caused") func fatal() {
        let sync = FilesError.sync("/x", errno: EIO)
        #expect(sync.code == "files.sync_failed" && sync.isFatal && !sync.isRetryable)
        #expect(FilesError.damaged("/x", "cut short", cause: sync).isFatal)
        #expect(!FilesError.damaged("/x", "cut short").isFatal)
    }
}
