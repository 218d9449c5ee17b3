import ControlAPI
import NIOCore
import Core

/// Tells a new connection why it is not let in, without reading what it sends, and closes it.
final class RefusalHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let failure: ControlFailure

    init(_ failure: ControlFailure) { self.failure = failure }

    func channelActive(context: ChannelHandlerContext) {
        let body = Response.error(failure).body
        var buffer = ByteBuffer()
        buffer.writeString(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: \(body.count)\r\n"
                + "connection: close\r\n\r\n")
        buffer.writeBytes(body)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        context.close(promise: nil)
    }
}

extension ControlFailure {
    static let noRoom = ControlFailure(
        "control.too_many_connections", .temporary, "The daemon has as many connections as it takes.",
        remedy: "Try again in a moment, and keep fewer connections open.")
    static let ending = ControlFailure(
        "control.ending", .temporary, "The daemon is on its way out.",
        remedy: "Try again when it has been started again; its log says why it ends.")
}
