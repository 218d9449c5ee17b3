import Core
import Files
import Glibc
import TestSupport
import Testing

@Suite struct AtomicFileTests {
    private struct Stop: Error {}

    @Test(
        "the old contents stay until the new ones are published", arguments: [AtomicFile.TemporaryName.unique, .fixed])
    func publish(name: AtomicFile.TemporaryName) throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/file"
            try FileSystem.replace(path, with: [1])
            let new = try AtomicFile(path, name: name)
            let file = try new.create()
            try file.write([2, 3])
            #expect(try FileSystem.read(path, limit: 9) == [1])
            #expect(new.temporary != path && FileSystem.parent(of: new.temporary) == directory)
            try new.publish()
            #expect(try FileSystem.read(path, limit: 9) == [2, 3])
            #expect(try FileSystem.list(directory) == ["file"])
            // It is the same file: what is written to it afterwards is at the path.
            try file.write([4], at: 0)
            #expect(try FileSystem.read(path, limit: 9) == [4, 3])
        }
    }

    @Test("a file made by other means is published too") func byPath() throws {
        try withTemporaryDirectory { directory in
            let new = try AtomicFile("\(directory)/file", name: .fixed)
            try FileSystem.replace(new.temporary, with: [5])
            try new.publish()
            #expect(try FileSystem.list(directory) == ["file"])
            #expect(try FileSystem.read("\(directory)/file", limit: 9) == [5])
        }
    }

    @Test("a write that fails leaves the old contents and no temporary file") func failure() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/file"
            try FileSystem.replace(path, with: [1])
            #expect(throws: Stop.self) {
                try AtomicFile.write(path) { file in
                    try file.write([2])
                    throw Stop()
                }
            }
            #expect(try FileSystem.read(path, limit: 9) == [1])
            #expect(try FileSystem.list(directory) == ["file"])
            // A rename that fails: a directory is at the path.
            try FileSystem.makeDirectory("\(directory)/taken")
            try FileSystem.replace("\(directory)/taken/x", with: [1])
            #expect(throws: FilesError.self) { try FileSystem.replace("\(directory)/taken", with: [2]) }
            #expect(try FileSystem.list(directory) == ["file", "taken"])
        }
    }

    @Test("the next write removes what a crash left under a fixed name") func leftover() throws {
        try withTemporaryDirectory { directory in
            try FileSystem.replace("\(directory)/file.tmp", with: [9, 9, 9])
            try AtomicFile.write("\(directory)/file", name: .fixed) { try $0.write([1]) }
            #expect(try FileSystem.list(directory) == ["file"])
            #expect(try FileSystem.read("\(directory)/file", limit: 9) == [1])
        }
    }

    @Test("two writers of a path do not share a temporary file") func concurrent() throws {
        try withTemporaryDirectory { directory in
            let one = try AtomicFile("\(directory)/file")
            let other = try AtomicFile("\(directory)/file")
            #expect(one.temporary != other.temporary)
            try one.create().write([1])
            try other.create().write([2])
            try one.publish()
            try other.publish()
            #expect(try FileSystem.read("\(directory)/file", limit: 9) == [2])
        }
    }
}
