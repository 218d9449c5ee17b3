import Files
import Glibc
import TestSupport
import Testing
import Core

@Suite struct FileSystemTests {
    @Test("what is written is read, and replacing leaves nothing else behind") func roundTrip() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/file"
            try FileSystem.replace(path, with: [1, 2, 3])
            try FileSystem.replace(path, with: [4, 5])
            #expect(try FileSystem.read(path, limit: 2) == [4, 5])
            #expect(try FileSystem.list(directory) == ["file"])
        }
    }

    @Test("a file above the limit is refused") func limit() throws {
        try withTemporaryDirectory { directory in
            try FileSystem.replace("\(directory)/file", with: [1, 2, 3])
            let failure = #expect(throws: FilesError.self) { try FileSystem.read("\(directory)/file", limit: 2) }
            #expect(failure?.code == "files.too_large")
        }
    }

    @Test("a missing file is reported as such") func missing() {
        let failure = #expect(throws: FilesError.self) { try FileSystem.read("/nonexistent/x", limit: 9) }
        #expect(failure?.kind == .notFound)
        #expect(failure?.message.contains("/nonexistent/x") == true)
    }

    @Test("a pipe is not read as a file") func pipe() {
        withTemporaryDirectory { directory in
            let failure = #expect(throws: FilesError.self) { try FileSystem.read(directory, limit: 9) }
            #expect(failure?.code == "files.not_a_file" || failure?.code == "files.is_directory")
        }
    }

    @Test(
        "parents of paths",
        arguments: [("a/b", "a"), ("b", "."), ("/b", "/"), ("a/b/", "a"), ("/", "/"), ("a//b", "a/")]
    )
    func parents(path: String, parent: String) {
        #expect(FileSystem.parent(of: path) == parent)
    }

    @Test("a directory appears complete when published, and not before") func publish() throws {
        try withTemporaryDirectory { directory in
            let target = "\(directory)/deep/model"
            let publisher = try DirectoryPublisher(target: target)
            try publisher.write("a", [1])
            #expect(!FileSystem.exists(target))
            try publisher.publish()
            #expect(try FileSystem.list(target) == ["a"])
            #expect(try FileSystem.list("\(directory)/deep") == ["model"])
        }
    }

    @Test("an unpublished directory leaves nothing") func abandoned() throws {
        try withTemporaryDirectory { directory in
            do {
                let publisher = try DirectoryPublisher(target: "\(directory)/model")
                try publisher.write("a", [1])
                #expect(try FileSystem.list(directory).count == 1)
            }
            #expect(try FileSystem.list(directory).isEmpty)
        }
    }

    @Test("publishing does not replace a directory that appeared meanwhile") func noReplace() throws {
        try withTemporaryDirectory { directory in
            let publisher = try DirectoryPublisher(target: "\(directory)/model")
            try publisher.write("a", [1])
            try FileSystem.makeDirectory("\(directory)/model")
            let failure = #expect(throws: FilesError.self) { try publisher.publish() }
            #expect(failure?.code == "files.exists")
            #expect(try FileSystem.list("\(directory)/model").isEmpty)
        }
    }

    @Test("the temporary files of a killed process are removed, and nothing else") func leftovers() throws {
        try withTemporaryDirectory { directory in
            // As after a kill: never published, and still there under its temporary name.
            let publisher = try DirectoryPublisher(target: "\(directory)/model")
            let left = try #require(try FileSystem.list(directory).first)
            try FileSystem.replace("\(directory)/.model.1x.tmp", with: [1])
            let others = [
                ".model.checkpoint.1x.tmp", ".model..tmp", ".model.1x", ".models.1x.tmp", "model", "model.1x.tmp",
            ]
            for name in others { try FileSystem.replace("\(directory)/\(name)", with: [1]) }
            #expect(left.hasPrefix(".model.") && left.hasSuffix(".tmp"))
            try FileSystem.removeLeftovers(of: "\(directory)/model/")
            #expect(try Set(FileSystem.list(directory)) == Set(others))
            try FileSystem.removeLeftovers(of: "\(directory)/nowhere/model")
            withExtendedLifetime(publisher) {}
        }
    }

    @Test("removing a tree removes links, not what they name") func removeLinks() throws {
        try withTemporaryDirectory { directory in
            try FileSystem.makeDirectory("\(directory)/kept")
            try FileSystem.replace("\(directory)/kept/file", with: [1])
            try FileSystem.makeDirectory("\(directory)/gone")
            #expect(symlink("\(directory)/kept", "\(directory)/gone/link") == 0)
            try FileSystem.removeTree("\(directory)/gone")
            #expect(try FileSystem.list(directory) == ["kept"])
            #expect(FileSystem.exists("\(directory)/kept/file"))
        }
    }
}
